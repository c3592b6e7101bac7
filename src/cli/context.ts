/** What a subcommand is given, and the small things that all of them do: print, ask, and open the cluster once. */
import type { Cluster } from '../cluster/cluster.ts';
import { CxmError } from '../errors.ts';
import type { CliEnvironment, OpenedCluster } from './environment.ts';
import type { ExitCode } from './exit-codes.ts';
import type { CliOptions } from './option-table.ts';
import { printable } from './printable.ts';
import type { Progress } from './progress.ts';
import type { Style } from './style.ts';
import { renderTable, type Cell, type Column } from './table.ts';

export type CommandBody = (context: CommandContext) => Promise<ExitCode>;

export class CommandContext {
  private opened: OpenedCluster | undefined;

  constructor(
    readonly environment: CliEnvironment,
    readonly options: CliOptions,
    readonly operands: readonly string[],
    readonly progress: Progress,
    private readonly style: Style,
    private readonly signal: AbortSignal,
    /** Whether the command may change something. */
    private readonly changes: boolean,
  ) {}

  operand(index: number): string {
    const word = this.operands[index];
    if (word === undefined) throw new CxmError('INTERNAL', `operand ${index} was not checked`);
    return word;
  }

  /** The cluster, or only some of its nodes; opened once a run. */
  async open(nodes?: readonly string[]): Promise<Cluster> {
    const wanted = nodes ?? this.options.nodes;
    const { refresh } = this.options;
    const request = { changes: this.changes, refresh, reporter: this.progress, signal: this.signal };
    this.opened ??= await this.environment.open(wanted === undefined ? request : { ...request, nodes: wanted });
    return this.opened.cluster;
  }

  async close(): Promise<void> {
    await this.opened?.close();
  }

  /** The node that is meant by commands on one node: the forced one, else this one. */
  get ownNode(): string {
    return this.options.forceNode ?? this.environment.localName;
  }

  print(text: string): void {
    this.progress.finish('done');
    this.environment.terminal.stdout.write(`${printable(text)}\n`);
  }

  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): void {
    this.progress.finish('done');
    this.environment.terminal.stdout.write(renderTable(columns, rows, this.style));
  }

  json(value: unknown): void {
    this.progress.finish('done');
    this.environment.terminal.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** The sentence, or the value when JSON is wanted. */
  answer(sentence: string, value: unknown): void {
    if (this.options.json) this.json(value);
    else if (!this.options.quiet) this.print(sentence);
  }

  /**
   * Asks before something that can't be taken back.
   * @throws CxmError REFUSED when the answer is not yes
   */
  async confirm(question: string): Promise<void> {
    if (this.options.yes || this.options.quiet) return;
    const answer = await this.environment.ask(`${printable(question)} [y/N] `);
    if (/^y(es)?$/i.test(answer?.trim() ?? '')) return;
    if (answer !== undefined) throw new CxmError('REFUSED', 'the answer was not yes', { hint: '' });
    throw new CxmError('REFUSED', 'nobody is there to answer the question', { hint: 'add --yes if it is meant' });
  }
}
