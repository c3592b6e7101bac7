/**
 * Words for a POSIX shell. ssh knows no list of arguments: what it runs is one string, which the login shell on the
 * other side takes apart again. This is the one place where words become such a string.
 */
import { CxmError } from '../errors.ts';

/**
 * A word as any POSIX shell reads it back, byte for byte. Within single quotes nothing is special but the quote.
 * @throws CxmError INVALID_INPUT for a zero byte, which no argument can carry
 */
export function quoteWord(word: string): string {
  if (word.includes('\0')) throw new CxmError('INVALID_INPUT', 'an argument of a program has a zero byte');
  if (/^[A-Za-z0-9_./:,@%+-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** A simple command of these words, the program first. @throws as `quoteWord` */
export function quoteWords(words: readonly string[]): string {
  return words.map(quoteWord).join(' ');
}
