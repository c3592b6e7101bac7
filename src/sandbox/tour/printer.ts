/**
 * How the tour looks: a heading a step, the calls with time and bytes, what changed on the hosts, what was checked, and
 * the closing table.
 */
import { formatSize } from '../../config/size.ts';
import type { Layout } from '../layout.ts';
import type { CallResult } from '../one/calls.ts';
import type { Abilities } from '../prepare.ts';
import type { Change } from './changes.ts';
import type { Step } from './stage.ts';
import { columns, wrap, type Terminal } from './terminal.ts';

export interface StepResult {
  readonly title: string;
  readonly calls: number;
  readonly durationMs: number;
  /** Size of the disks that it was about; undefined when sizes say nothing. */
  readonly diskBytes: number | undefined;
  readonly sentBytes: number;
}

export type CallHead = Pick<CallResult, 'kind' | 'action' | 'args' | 'machine'>;

export interface PrinterOptions {
  readonly quiet: boolean;
  /** Print what the drivers log, too. */
  readonly verbose: boolean;
}

const indent = '    ';
/** Sign, time and bytes of a call. */
const figuresWidth = 23;

export class Printer {
  private number = 0;

  constructor(
    private readonly terminal: Terminal,
    private readonly layout: Layout,
    private readonly options: PrinterOptions,
  ) {}

  head({ root, mounts, zstd }: Abilities): void {
    if (this.options.quiet) return;
    const { paint } = this.terminal;
    this.line(paint('bold', 'cxm: a tour of the drivers'));
    this.text(
      `Three hosts and a frontend, as directories in ${this.layout.directory}. node1 and node2 share a SAN with the volume ` +
        'group VG0; node3 has disks of its own. Xen, ssh, sudo and oned have stand-ins; the drivers that they call, and ' +
        'mkfs, tar and mount, are the real ones.',
    );
    const mounted = mounts ? 'volumes are mounted through loop devices' : 'nothing is mounted';
    const who = root ? (mounts ? '' : ', which may not mount here') : '';
    const mode = zstd
      ? 'zstd is here: disks are saved with MODE=TZST'
      : 'zstd is not here: disks are saved with MODE=RAW';
    this.text(
      `Running as ${root ? 'root' : 'an ordinary user'}${who}: ${mounted}. ${mode}. $DS is var/lib/one/datastores.`,
    );
  }

  step({ title, wish, note }: Step): void {
    this.number += 1;
    const { paint, signs, width } = this.terminal;
    if (this.options.quiet) return;
    const heading = `${String(this.number).padStart(2)}  ${title} `;
    this.line('');
    this.line(`${paint('bold', heading)}${paint('dim', signs.rule.repeat(Math.max(0, width - heading.length)))}`);
    for (const line of wrap(`$ ${wish}`, width - indent.length, '  ')) this.line(indent + paint('cyan', line));
    this.text(note);
    this.line('');
  }

  callStarts(call: CallHead): void {
    if (this.options.quiet || !this.terminal.live) return;
    const [first = ''] = this.callLines(call);
    this.terminal.write(`${indent}${first} ${this.terminal.signs.busy}`.slice(0, this.terminal.width - 1));
  }

  callEnds(result: CallResult): void {
    if (this.options.quiet) return;
    const { paint, signs, live } = this.terminal;
    if (live) this.terminal.write('\r\x1b[2K');
    const [first = '', ...rest] = this.callLines(result);
    const good = result.exitCode === 0;
    const sign = good ? paint('green', signs.good) : paint('red', signs.bad);
    const seconds = `${(result.durationMs / 1000).toFixed(2)} s`;
    const figures = `${seconds.padStart(8)} ${(result.sentBytes > 0 ? formatSize(result.sentBytes) : '').padStart(10)}`;
    const room = this.terminal.width - indent.length - figuresWidth;
    this.line(`${indent}${this.painted(result, first.padEnd(room))}${paint('dim', figures)}  ${sign}`);
    for (const line of rest) this.line(`${indent}${line}`);
    if (good && this.options.verbose) this.log(result, 'dim');
  }

  changes(changes: readonly Change[]): void {
    if (this.options.quiet || changes.length === 0) return;
    const { paint, width } = this.terminal;
    this.line('');
    const colours = { '+': 'green', '-': 'red', '~': 'yellow' } as const;
    for (const what of ['volume', 'domain', 'files'] as const) {
      const rows = changes.filter((change) => change.what === what);
      const room = width - indent.length;
      columns(rows.map(({ sign, words }) => [sign, ...words])).forEach((line, index) => {
        const parts = line.length <= room ? [line] : wrap(line.replace(/ +/g, ' '), room, indent);
        const colour = colours[rows[index]?.sign ?? '~'];
        parts.forEach((part, at) => {
          this.line(indent + (at === 0 ? paint(colour, part.slice(0, 1)) + part.slice(1) : part));
        });
      });
    }
  }

  checks(sentences: readonly string[]): void {
    if (this.options.quiet || sentences.length === 0) return;
    this.line('');
    for (const sentence of sentences) this.checked(sentence);
  }

  private checked(sentence: string): void {
    const { paint, signs, width } = this.terminal;
    const lines = wrap(`${signs.good} ${sentence}`, width - indent.length, ' '.repeat(signs.good.length + 1));
    lines.forEach((line, at) => {
      this.line(indent + (at === 0 ? paint('green', signs.good) + line.slice(signs.good.length) : line));
    });
  }

  stepEnds({ title }: Step, good: boolean): void {
    if (!this.options.quiet) return;
    const { paint, signs } = this.terminal;
    const sign = good ? paint('green', signs.good) : paint('red', signs.bad);
    this.line(`${sign} ${String(this.number).padStart(2)}  ${title}`);
  }

  /** A step that failed: what was expected, and what the call said. */
  failed(sentence: string, result: CallResult | undefined): void {
    const { paint, signs } = this.terminal;
    this.line(`${indent}${paint('red', `${signs.bad} ${sentence}`)}`);
    if (result === undefined) return;
    this.line(`${indent}${[result.kind, result.action].join('/')} on ${result.machine}, exit code ${result.exitCode}:`);
    this.line(`${indent}  ${result.args.map((word) => this.shortened(word)).join(' ')}`);
    this.log(result, 'red');
  }

  table(results: readonly StepResult[]): void {
    const { paint, width, signs } = this.terminal;
    const rows = results.map((result, index) => this.row(String(index + 1).padStart(2), result));
    const total = this.row('', {
      title: 'all',
      calls: results.reduce((sum, { calls }) => sum + calls, 0),
      durationMs: results.reduce((sum, { durationMs }) => sum + durationMs, 0),
      diskBytes: undefined,
      sentBytes: results.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
    });
    const numbers = ['calls', 'time', 'disks', 'sent', 'ratio'];
    const titleRoom = Math.max(12, width - 4 - 2 - 48);
    const cut = (row: readonly string[]): readonly string[] => [
      row[0] ?? '',
      shorten(row[1] ?? '', titleRoom),
      ...row.slice(2),
    ];
    const lines = columns([['', 'step', ...numbers], ...rows.map(cut), cut(total)], 2);
    this.line('');
    lines.forEach((line, index) => {
      this.line(index === 0 || index === lines.length - 1 ? paint('bold', line) : line);
    });
    this.line('');
    this.text(
      `disks: the volumes that a step was about; sent: what crossed the network for it, protocol included; ratio: disks ${signs.times} smaller on the wire.`,
    );
  }

  /** A paragraph. */
  text(text: string): void {
    for (const line of wrap(text, this.terminal.width - indent.length)) this.line(indent + line);
  }

  line(text: string): void {
    this.terminal.write(`${text.trimEnd()}\n`);
  }

  private row(number: string, { title, calls, durationMs, diskBytes, sentBytes }: StepResult): string[] {
    const ratio =
      diskBytes === undefined || sentBytes === 0
        ? ''
        : `${ratioOf(diskBytes / sentBytes)} ${this.terminal.signs.times}`;
    return [
      number,
      title,
      String(calls),
      `${(durationMs / 1000).toFixed(1)} s`,
      diskBytes === undefined ? '' : formatSize(diskBytes),
      formatSize(sentBytes),
      ratio,
    ];
  }

  private callLines({ kind, action, args, machine }: CallHead): readonly string[] {
    const where = kind === 'tm' ? '' : ` (on ${machine})`;
    const name = kind === 'hook' ? action : `${kind}/${action}`;
    const line = [name, ...args.map((word) => this.shortened(word))].join(' ') + where;
    return wrap(line, this.terminal.width - indent.length - figuresWidth, '    ');
  }

  private painted({ kind, action }: CallHead, line: string): string {
    const name = kind === 'hook' ? action : `${kind}/${action}`;
    return line.startsWith(name) ? this.terminal.paint('bold', name) + line.slice(name.length) : line;
  }

  /** Paths by what they mean, and the beginning of documents in base64. */
  private shortened(word: string): string {
    const text =
      word === '' ? "''" : word.replaceAll(this.layout.datastores, '$DS').replaceAll(this.layout.directory, '');
    return text.length > 60 ? `${text.slice(0, 8)}...(${text.length} characters)` : text;
  }

  private log(result: CallResult, colour: 'dim' | 'red'): void {
    const said = [result.stderr, result.stdout].join('\n').split('\n');
    for (const line of said.filter((text) => text.trim() !== '')) {
      const short = line.replaceAll(this.layout.datastores, '$DS').replaceAll(this.layout.directory, '');
      for (const part of wrap(short, this.terminal.width - 2 * indent.length, '  ')) {
        this.line(indent + indent + this.terminal.paint(colour, part));
      }
    }
  }
}

function ratioOf(ratio: number): string {
  return ratio >= 10 ? String(Math.round(ratio)) : ratio.toFixed(1);
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 2)}..`;
}
