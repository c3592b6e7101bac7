/**
 * Text for a terminal: its width, its colours, its signs. Pure but for the environment that is handed in. Without a
 * terminal, or with NO_COLOR set, there are no colours; without UTF-8 there are only ASCII signs.
 */

export interface Terminal {
  /** Characters a line. */
  readonly width: number;
  /** Lines may be rewritten, so a call that is under way can be shown. */
  readonly live: boolean;
  readonly signs: Signs;
  paint(colour: Colour, text: string): string;
  write(text: string): void;
}

export interface Signs {
  readonly good: string;
  readonly bad: string;
  readonly busy: string;
  readonly rule: string;
}

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const codes: Readonly<Record<Colour, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

const unicode: Signs = { good: '✓', bad: '✗', busy: '…', rule: '─' };
const ascii: Signs = { good: 'ok', bad: '!!', busy: '..', rule: '-' };

const narrowest = 48;
const widest = 120;
const widthOfFiles = 100;

export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export function createTerminal(output: Output, environment: Readonly<Record<string, string | undefined>>): Terminal {
  const terminal = output.isTTY === true;
  const coloured = terminal && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  const locale = environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || '';
  const columns = terminal ? (output.columns ?? 80) : widthOfFiles;
  return {
    width: Math.min(widest, Math.max(narrowest, columns)),
    live: terminal && environment['TERM'] !== 'dumb',
    signs: /utf-?8/i.test(locale) ? unicode : ascii,
    paint: (colour, text) => (coloured ? `\x1b[${codes[colour][0]}m${text}\x1b[${codes[colour][1]}m` : text),
    write: (text) => void output.write(text),
  };
}

/** Words in lines of at most `width`; lines after the first are indented. A word that is too long is broken. */
export function wrap(text: string, width: number, indent = ''): readonly string[] {
  const lines: string[] = [];
  let line = '';
  const room = (): number => width - (lines.length === 0 ? 0 : indent.length);
  const finish = (): void => {
    lines.push(lines.length === 0 ? line : indent + line);
    line = '';
  };
  for (let word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > room()) finish();
    while (word.length > room()) {
      const head = word.slice(0, room());
      word = word.slice(head.length);
      line = head;
      finish();
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '' || lines.length === 0) finish();
  return lines;
}

/** Pieces of text, as many a line of at most `width` as fit; one that is too long is wrapped and has its lines alone. */
export function flow(pieces: readonly string[], width: number): readonly (readonly string[])[] {
  const lines: (readonly string[])[] = [];
  let taken = Infinity;
  for (const piece of pieces) {
    taken += gap.length + piece.length;
    if (taken <= width) {
      lines.push([...(lines.pop() ?? []), piece]);
    } else {
      const wrapped = wrap(piece, width, '  ');
      lines.push(...wrapped.map((line) => [line]));
      taken = wrapped.length > 1 ? Infinity : piece.length;
    }
  }
  return lines;
}

/** Between two pieces of text in a line. */
export const gap = '   ';

/** Rows as columns of equal width, the first one to the left, those named to the right. */
export function columns(rows: readonly (readonly string[])[], rightFrom = Infinity): readonly string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)));
  return rows.map((row) =>
    widths
      .map((width, index) => {
        const cell = row[index] ?? '';
        return index >= rightFrom ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
