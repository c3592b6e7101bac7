/** Text for terminals of every width. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columns, createTerminal, flow, wrap, type Output } from '../../../src/sandbox/tour/terminal.ts';

const words = fc.array(fc.stringMatching(/^[a-z/$.:]{1,40}$/), { minLength: 1, maxLength: 30 });
const widths = fc.integer({ min: 10, max: 120 });

function terminal(output: Partial<Output>, environment: Record<string, string>): ReturnType<typeof createTerminal> {
  return createTerminal({ write: () => true, ...output }, environment);
}

describe('wrap', () => {
  it('loses no character, keeps the order, and makes no line too long', () => {
    fc.assert(
      fc.property(words, widths, (text, width) => {
        const lines = wrap(text.join(' '), width, '  ');
        expect(lines.every((line) => line.length <= width)).toBe(true);
        expect(lines.join('').replaceAll(' ', '')).toBe(text.join(''));
      }),
    );
  });

  it('breaks between words where it can', () => {
    expect(wrap('one two three four', 9, '  ')).toEqual(['one two', '  three', '  four']);
  });
});

describe('flow', () => {
  it('puts as many pieces into a line as fit, and none behind a piece that was wrapped', () => {
    expect(flow(['one', 'two', 'four five six', 'seven', 'ten'], 11)).toEqual([
      ['one', 'two'],
      ['four five'],
      ['  six'],
      ['seven', 'ten'],
    ]);
  });

  it('makes no line too long', () => {
    fc.assert(
      fc.property(words, widths, (pieces, width) => {
        const lines = flow(pieces, width);
        expect(lines.every((line) => line.join('   ').length <= width)).toBe(true);
        expect(lines.flat().join('').replaceAll(' ', '')).toBe(pieces.join(''));
      }),
    );
  });
});

describe('columns', () => {
  it('aligns, the figures to the right', () => {
    expect(
      columns(
        [
          ['step', 'sent'],
          ['one', '1 MiB'],
          ['longer', '10 MiB'],
        ],
        1,
      ),
    ).toEqual(['step      sent', 'one      1 MiB', 'longer  10 MiB']);
  });
});

describe('createTerminal', () => {
  it('has colours on a terminal only, and not with NO_COLOR or TERM=dumb', () => {
    const onTerminal = { isTTY: true, columns: 80 };
    expect(terminal(onTerminal, {}).paint('red', 'x')).toBe('\x1b[31mx\x1b[39m');
    expect(terminal(onTerminal, { NO_COLOR: '1' }).paint('red', 'x')).toBe('x');
    expect(terminal(onTerminal, { NO_COLOR: '' }).paint('red', 'x')).toBe('\x1b[31mx\x1b[39m');
    expect(terminal(onTerminal, { TERM: 'dumb' })).toMatchObject({ live: false });
    expect(terminal(onTerminal, { TERM: 'dumb' }).paint('red', 'x')).toBe('x');
    expect(terminal({}, {}).paint('red', 'x')).toBe('x');
    expect(terminal({}, {}).live).toBe(false);
  });

  it('takes signs from the locale and keeps its width in bounds', () => {
    expect(terminal({}, { LANG: 'de_DE.UTF-8' }).signs.good).toBe('✓');
    expect(terminal({}, { LANG: 'de_DE.UTF-8', LC_ALL: 'C' }).signs.good).toBe('ok');
    expect(terminal({ isTTY: true, columns: 20 }, {}).width).toBe(48);
    expect(terminal({ isTTY: true, columns: 400 }, {}).width).toBe(120);
    expect(terminal({}, {}).width).toBe(100);
  });
});
