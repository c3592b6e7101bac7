/**
 * The `KEY = value` language of cxmrc and cxm.conf: one assignment a line, `#` comments, strings in either quote or
 * bare words, whole numbers, True/False, and lists of strings in brackets (over several lines if need be).
 *
 * Both files used to be executed, by a shell or by Python. Here they are only read: nothing is expanded, and what
 * does not fit the language stops the program with file, line and what was found.
 */
import { CxmError } from '../errors.ts';

export type RawValue = string | readonly string[];

export interface Assignment {
  readonly key: string;
  readonly value: RawValue;
  /** In quotes; of a list, each of its items. */
  readonly isQuoted: boolean;
  /** 1-based. */
  readonly line: number;
}

const keyPattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * The assignments of a file, in order.
 * @param fileName for messages
 * @throws CxmError CONFIG with file, line and what was found
 */
export function parseAssignments(text: string, fileName: string): Assignment[] {
  const reader = new Reader(text, fileName);
  const assignments: Assignment[] = [];
  for (reader.skipBlank(); !reader.atEnd; reader.skipBlank()) assignments.push(readAssignment(reader));
  const seen = new Map<string, number>();
  for (const { key, line } of assignments) {
    const before = seen.get(key);
    if (before !== undefined) reader.fail(`${key} is set twice (first in line ${before})`, line);
    seen.set(key, line);
  }
  return assignments;
}

function readAssignment(reader: Reader): Assignment {
  const line = reader.line;
  const key = reader.word();
  if (!keyPattern.test(key)) reader.fail(`expected KEY = value, found ${reader.quote(key)}`, line);
  reader.skipSpace();
  if (!reader.take('=')) reader.fail(`expected = after ${key}`, line);
  reader.skipSpace();
  const literal = reader.peek === '[' ? readList(reader) : reader.literal();
  reader.endOfLine(key);
  return { key, ...literal, line };
}

type ListLiteral = Omit<Literal, 'value'> & { readonly value: readonly string[] };

function readList(reader: Reader): ListLiteral {
  const items: Literal[] = [];
  reader.take('[');
  for (;;) {
    reader.skipBlank();
    if (items.length > 0 && reader.peek !== ']' && !reader.take(',')) reader.fail('expected , or ] in the list');
    reader.skipBlank();
    if (reader.take(']')) break;
    if (items.length >= 10_000) reader.fail('the list is too long');
    items.push(reader.literal());
  }
  return { value: items.map((item) => item.value), isQuoted: items.every((item) => item.isQuoted) };
}

/** One value, and whether it stands in quotes. */
interface Literal {
  readonly value: string;
  readonly isQuoted: boolean;
}

class Reader {
  line = 1;
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly fileName: string,
  ) {}

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  get peek(): string {
    return this.text[this.at] ?? '';
  }

  take(character: string): boolean {
    if (this.peek !== character) return false;
    this.at += 1;
    return true;
  }

  skipSpace(): void {
    while (/^[ \t\r]$/.test(this.peek)) this.at += 1;
  }

  /** White space, line ends and comments. */
  skipBlank(): void {
    for (;;) {
      this.skipSpace();
      if (this.peek === '#') this.skipComment();
      if (!this.take('\n')) return;
      this.line += 1;
    }
  }

  word(): string {
    const start = this.at;
    while (!this.atEnd && !/[\s=#[\],"']/.test(this.peek)) this.at += 1;
    if (this.at === start) this.fail(`expected a word, found ${this.quote(this.peek)}`);
    return this.text.slice(start, this.at);
  }

  literal(): Literal {
    const quote = this.peek;
    if (quote === '"' || quote === "'") return { value: this.quoted(quote), isQuoted: true };
    if (quote === '' || quote === '\n' || quote === '#') this.fail('expected a value');
    return { value: this.word(), isQuoted: false };
  }

  endOfLine(key: string): void {
    this.skipSpace();
    if (this.peek === '#') this.skipComment();
    if (!this.atEnd && this.peek !== '\n') {
      this.fail(`expected the end of the line after the value of ${key}, found ${this.quote(this.peek)}`);
    }
  }

  quote(found: string): string {
    return found === '' ? 'the end of the file' : JSON.stringify(found.slice(0, 60));
  }

  fail(what: string, line = this.line): never {
    throw new CxmError('CONFIG', `${this.fileName}, line ${line}: ${what}`);
  }

  private quoted(quote: string): string {
    let value = '';
    this.at += 1;
    for (;;) {
      const character = this.peek;
      if (character === '' || character === '\n') this.fail(`the string that begins with ${quote} does not end`);
      this.at += 1;
      if (character === quote) return value;
      if (character === '\\' && quote === '"' && (this.peek === '"' || this.peek === '\\')) {
        value += this.peek;
        this.at += 1;
      } else {
        value += character;
      }
    }
  }

  private skipComment(): void {
    while (!this.atEnd && this.peek !== '\n') this.at += 1;
  }
}
