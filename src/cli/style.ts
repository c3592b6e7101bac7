/**
 * How text looks on a stream: its colours, its signs and its width. Colour only on a terminal and never with NO_COLOR;
 * signs beyond ASCII only where the locale has them.
 */
import type { CliStream } from './environment.ts';

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

const codes: Readonly<Record<Colour, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
};

export interface Style {
  /** Lines may be rewritten. */
  readonly live: boolean;
  /** Characters a line; Infinity where nobody looks. */
  readonly width: number;
  readonly signs: { readonly done: string; readonly failed: string; readonly noted: string; readonly busy: string };
  paint(colour: Colour, text: string): string;
}

export function styleOf(stream: CliStream, env: Readonly<Record<string, string | undefined>>): Style {
  const terminal = stream.isTTY === true && env['TERM'] !== 'dumb';
  const coloured = terminal && (env['NO_COLOR'] ?? '') === '';
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  const unicode = /utf-?8/i.test(locale);
  return {
    live: terminal,
    width: terminal ? Math.max(20, stream.columns ?? 80) : Infinity,
    signs: unicode
      ? { done: '✓', failed: '✗', noted: '!', busy: '…' }
      : { done: '+', failed: 'x', noted: '!', busy: '.' },
    paint: (colour, text) => (coloured ? `\x1b[${codes[colour][0]}m${text}\x1b[${codes[colour][1]}m` : text),
  };
}
