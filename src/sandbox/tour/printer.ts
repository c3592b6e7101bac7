/**
 * How the tour looks: a heading a step, what is called with time and bytes, what changed on the hosts, what was checked,
 * and the closing table. A margin tells these apart; a terminal too narrow for it does without.
 */
import { formatSize } from '../../config/size.ts';
import type { Layout } from '../layout.ts';
import type { CallResult } from '../one/calls.ts';
import type { Abilities } from '../prepare.ts';
import type { Change } from './changes.ts';
import type { Step } from './stage.ts';
import { closingTable, type StepResult } from './table.ts';
import { columns, flow, gap, wrap, type Terminal } from './terminal.ts';

export type CallHead = Pick<CallResult, 'kind' | 'action' | 'args' | 'machine'>;

export interface PrinterOptions {
  readonly quiet?: boolean;
  /** Print what the drivers log, too. */
  readonly verbose?: boolean;
}

const indent = '    ';
const widthOfMargin = 8;
const narrowest = 72;
/** `1234.56 s  1023.9 KiB`, in front of it a space. */
const widthOfFigures = 22;
/** Stands for a blank where a line must not end. */
const unbreakable = '\u00a0';

export class Printer {
  private number = 0;
  /** The margin's word that comes next; each is written once a step. */
  private word = '';

  constructor(
    private readonly terminal: Terminal,
    private readonly layout: Layout,
    private readonly options: PrinterOptions,
  ) {}

  head({ root, mounts, zstd }: Abilities): void {
    if (this.options.quiet) return;
    this.line(`${indent}${this.terminal.paint('bold', 'cxm: a tour of the drivers')}`);
    this.line('');
    this.text(
      'Three Xen hosts and an OpenNebula frontend, as directories of this machine. node1 and node2 share a SAN with the ' +
        'volume group VG0; node3 has disks of its own. Stand-ins play Xen, LVM, ssh, sudo and oned; the drivers that they ' +
        'call are the real ones, and so are mkfs, tar and compression. Actions tm/ run on the frontend, the others on a host.',
    );
    const who = root ? `root${mounts ? '' : ', which may not mount here'}` : 'an ordinary user';
    const mounted = mounts
      ? 'volumes are mounted through loop devices'
      : 'file systems are made and read without mounting';
    const mode = zstd ? '' : ' There is no zstd here: disks are saved without compression (MODE=RAW).';
    this.text(`Running as ${who}: ${mounted}.${mode} $DS is ${this.layout.datastores}.`);
  }

  step({ title, wish, note }: Step): void {
    this.number += 1;
    const { paint, signs, width } = this.terminal;
    if (this.options.quiet) return;
    const [first = '', ...rest] = wrap(title, width - indent.length - 2, indent);
    const rule = signs.rule.repeat(Math.max(0, width - indent.length - first.length - 1));
    this.line('');
    this.line(
      `${paint('bold', `${String(this.number).padStart(2)}  ${first}`)} ${paint('dim', rest.length > 0 ? '' : rule)}`,
    );
    for (const line of rest) this.line(paint('bold', line));
    for (const line of wrap(wish, width - indent.length, '  ')) this.line(indent + paint('cyan', line));
    this.text(note);
    this.line('');
  }

  callStarts(call: CallHead): void {
    if (this.options.quiet || !this.terminal.live) return;
    const [first = ''] = this.callLines(call, '');
    const shown = `${first} ${this.terminal.signs.busy}`.slice(0, this.room - 1);
    this.terminal.write(this.margin('calls', false) + shown);
  }

  /** @param nested by what the call before it set off */
  callEnds(result: CallResult, nested = false): void {
    if (this.options.quiet) return;
    const { paint, live } = this.terminal;
    if (live) this.terminal.write('\r\x1b[2K');
    const [first = '', ...rest] = this.callLines(result, nested ? '  ' : '');
    const figures = figuresOf(result);
    const blanks = ' '.repeat(Math.max(0, this.room - figures.length - (this.narrow ? 0 : first.length)));
    const last = blanks + paint(result.exitCode === 0 ? 'dim' : 'red', figures);
    this.row('calls', this.painted(result, first) + (this.narrow ? '' : last));
    for (const line of this.narrow ? [...rest, last] : rest) this.row('calls', line);
    if (result.exitCode !== 0 || !this.options.verbose) return;
    for (const line of this.linesOf(result, this.room - indent.length)) this.row('calls', indent + paint('dim', line));
  }

  changes(changes: readonly Change[]): void {
    if (this.options.quiet) return;
    const colours = { '+': 'green', '-': 'red', '~': 'yellow' } as const;
    const widthOfName = Math.max(0, ...changes.map(({ words: [name = ''] }) => name.length));
    for (const what of ['volume', 'domain', 'files'] as const) {
      const rows = changes.filter((change) => change.what === what);
      const table = columns(
        rows.map(({ sign, words: [name = '', ...words] }) => [`${sign} ${name.padEnd(widthOfName)}`, ...words]),
      );
      const fits = table.every((line) => line.length <= this.room);
      rows.forEach(({ sign, words }, index) => {
        const lines = fits ? [table[index] ?? ''] : wrap(`${sign} ${words.join(' ')}`, this.room, indent);
        lines.forEach((line, at) => {
          this.row('hosts', at === 0 ? this.terminal.paint(colours[sign], sign) + line.slice(1) : line);
        });
      });
    }
  }

  checks(sentences: readonly string[]): void {
    if (this.options.quiet) return;
    const { paint, signs } = this.terminal;
    const mark = `${signs.good} `;
    const painted = (piece: string): string =>
      piece.startsWith(mark) ? `${paint('green', mark)}${piece.slice(mark.length)}` : piece;
    const pieces = sentences.map((sentence) => mark + sentence);
    for (const line of flow(pieces, this.room)) this.row('checks', line.map(painted).join(gap));
  }

  stepEnds({ title }: Step, good: boolean): void {
    this.word = '';
    if (!this.options.quiet) return;
    const { paint, signs } = this.terminal;
    const sign = good ? paint('green', signs.good) : paint('red', signs.bad);
    this.line(`${sign} ${String(this.number).padStart(2)}  ${title}`);
  }

  /** A step that failed: what was expected, and what the call said. */
  failed(sentence: string, result: CallResult | undefined): void {
    const { paint, signs, width } = this.terminal;
    const write = (lines: readonly string[], margin: string): void => {
      for (const line of lines) this.line(margin + line);
    };
    const room = width - 2 * indent.length;
    const red = (lines: readonly string[]): readonly string[] => lines.map((line) => paint('red', line));
    this.line('');
    write(red(wrap(`${signs.bad} ${sentence}`, room, '  ')), indent);
    if (result === undefined) return;
    write(this.wrapCall(result, room), indent + indent);
    write(red(this.linesOf(result, room)), indent + indent);
  }

  table(results: readonly StepResult[]): void {
    const { paint, width } = this.terminal;
    const lines = closingTable(results, width);
    this.line('');
    lines.forEach((line, index) => {
      this.line(index === 0 || index === lines.length - 1 ? paint('bold', line) : line);
    });
    this.line('');
    this.text('disks: the volumes that the step was about; sent: bytes between the machines, the protocol included.');
  }

  /** A paragraph. */
  text(text: string): void {
    for (const line of wrap(text, this.terminal.width - indent.length)) this.line(indent + line);
  }

  line(text: string): void {
    this.terminal.write(`${text.trimEnd()}\n`);
  }

  /** Characters beside the margin. */
  private get room(): number {
    return this.terminal.width - indent.length - (this.narrow ? 0 : widthOfMargin);
  }

  private get narrow(): boolean {
    return this.terminal.width < narrowest;
  }

  private margin(word: string, used = true): string {
    const shown = word === this.word ? '' : word;
    if (used) this.word = word;
    return indent + (this.narrow ? '' : this.terminal.paint('dim', shown.padEnd(widthOfMargin)));
  }

  /** A line beside the margin. */
  private row(word: string, text: string): void {
    this.line(this.margin(word) + text);
  }

  private callText(call: CallHead): string {
    const { kind, args, machine } = call;
    const where = kind === 'tm' ? '' : ` (on${unbreakable}${machine})`;
    const name = nameOf(call);
    return [name, ...args.map((word) => this.shortened(word))].join(' ') + where;
  }

  private callLines(call: CallHead, before: string): readonly string[] {
    const room = this.room - (this.narrow ? 0 : widthOfFigures) - before.length;
    return this.wrapCall(call, room).map((line) => before + line);
  }

  private wrapCall(call: CallHead, width: number): readonly string[] {
    return wrap(this.callText(call), width, '  ').map((line) => line.replaceAll(unbreakable, ' '));
  }

  private painted(call: CallHead, line: string): string {
    const name = nameOf(call);
    const start = line.search(/\S/);
    if (!line.startsWith(name, start)) return line;
    return line.slice(0, start) + this.terminal.paint('bold', name) + line.slice(start + name.length);
  }

  /** Paths by what they mean, and the beginning of documents. */
  private shortened(word: string): string {
    const text = this.withoutPaths(word === '' ? "''" : word);
    return text.length > 60 ? `${text.slice(0, 8)}..` : text;
  }

  private withoutPaths(text: string): string {
    return text.replaceAll(this.layout.datastores, '$DS').replaceAll(this.layout.directory, '');
  }

  /** What the action has said, shortened like its arguments. */
  private linesOf(result: CallResult, width: number): readonly string[] {
    const said = [result.stderr, result.stdout].join('\n').split('\n');
    return said.filter((line) => line.trim() !== '').flatMap((line) => wrap(this.withoutPaths(line), width, '  '));
  }
}

function figuresOf({ durationMs, sentBytes, exitCode }: CallResult): string {
  const time = `${(durationMs / 1000).toFixed(2)} s`;
  const result = exitCode === 0 ? (sentBytes > 0 ? formatSize(sentBytes) : '') : `exit ${exitCode}`;
  return ` ${time.padStart(9)}  ${result.padStart(widthOfFigures - 12)}`;
}

function nameOf({ kind, action }: CallHead): string {
  if (kind === 'hook') return action;
  return kind === 'cxm' ? `cxm ${action}` : `${kind}/${action}`;
}
