/**
 * Tables as onehost and xl print them: a header in capitals, columns two blanks apart, numbers to the right. Cells are
 * measured before they are painted, and made printable, since names come from outside.
 */
import { printable } from './printable.ts';
import type { Colour, Style } from './style.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

export type Cell = string | number | { readonly text: string; readonly colour: Colour };

export function renderTable(columns: readonly Column[], rows: readonly (readonly Cell[])[], style: Style): string {
  const texts = rows.map((row) => columns.map((_, index) => textOf(row[index])));
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...texts.map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[], paint: (text: string, index: number) => string): string =>
    columns
      .map(({ align }, index) => {
        const text = cells[index] ?? '';
        const gap = ' '.repeat((widths[index] ?? 0) - text.length);
        const painted = text === '' ? '' : paint(text, index);
        if (align === 'right') return gap + painted;
        return index === columns.length - 1 ? painted : painted + gap;
      })
      .join('  ')
      .trimEnd();
  const header = line(
    columns.map(({ title }) => title),
    (text) => style.paint('bold', text),
  );
  const body = texts.map((cells, at) =>
    line(cells, (text, index) => {
      const cell = rows[at]?.[index];
      return typeof cell === 'object' ? style.paint(cell.colour, text) : text;
    }),
  );
  return [header, ...body].map((text) => `${text}\n`).join('');
}

function textOf(cell: Cell | undefined): string {
  if (cell === undefined) return '';
  return printable(typeof cell === 'object' ? cell.text : String(cell), 300);
}
