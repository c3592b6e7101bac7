/** What an action of cxmd_ctl works with: the connection to cxmd of this node, the terminal, cxm.conf. */
import type { CxmConf } from '../../config/cxm-conf.ts';
import { loadCxmConf } from '../../config/cxm-conf-file.ts';
import { CxmError } from '../../errors.ts';
import { connectLocally, type LocalConnection } from '../../ha/calls/local-calls.ts';
import { localCommands, type Commands } from '../../host/commands.ts';
import type { CliTerminal } from '../environment.ts';
import { printable } from '../printable.ts';
import { styleOf } from '../style.ts';
import { renderTable } from '../table.ts';
import type { CtlCall } from './parse.ts';
import type { CtlModifier } from './table.ts';

export class CtlContext {
  readonly commands: Commands = localCommands;
  private connection: LocalConnection | undefined;
  private conf: CxmConf | undefined;

  constructor(
    private readonly call: CtlCall,
    private readonly terminal: CliTerminal,
    private readonly question: (text: string) => Promise<string | undefined>,
  ) {}

  get value(): string {
    return this.call.value;
  }

  get wantsJson(): boolean {
    return this.has('json');
  }

  has(modifier: CtlModifier): boolean {
    return this.call.modifiers.has(modifier);
  }

  configuration(): CxmConf {
    this.conf ??= loadCxmConf();
    return this.conf;
  }

  /** @throws CxmError HOST_UNREACHABLE when no cxmd answers, and those of cxmd */
  async ask(method: string, params: object = {}): Promise<unknown> {
    const connection = await this.connect();
    return connection.ask(method, params);
  }

  async isRunning(): Promise<boolean> {
    try {
      return (await this.ask('ping')) === 'OK';
    } catch (error) {
      if (error instanceof CxmError && error.code === 'HOST_UNREACHABLE') return false;
      throw error;
    }
  }

  /** Until cxmd ends. @throws CxmError */
  async watch(take: (entry: unknown) => void): Promise<void> {
    const connection = await this.connect();
    connection.onNotification((_method, entry) => take(entry));
    await connection.ask('watch', {});
    await connection.closed;
    throw new CxmError('HOST_UNREACHABLE', 'cxmd has ended');
  }

  close(): void {
    this.connection?.close();
  }

  print(lines: readonly string[]): void {
    this.terminal.stdout.write(lines.map((line) => `${printable(line)}\n`).join(''));
  }

  warn(text: string): void {
    const { stderr, env } = this.terminal;
    stderr.write(`${styleOf(stderr, env).paint('red', 'cxmd_ctl:')} ${printable(text)}\n`);
  }

  json(value: unknown): void {
    this.terminal.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  answer(sentence: string, value: unknown): void {
    if (this.wantsJson) this.json(value);
    else this.print([sentence]);
  }

  table(titles: readonly string[], rows: readonly (readonly string[])[]): void {
    const { stdout, env } = this.terminal;
    const columns = titles.map((title) => ({ title, ...(title === 'VMS' ? { align: 'right' as const } : {}) }));
    stdout.write(
      renderTable(
        columns,
        rows.map((row) => row.map((cell) => printable(cell))),
        styleOf(stdout, env),
      ),
    );
  }

  /** @throws CxmError REFUSED when the answer is not yes */
  async confirm(question: string): Promise<void> {
    if (this.has('yes')) return;
    const answer = await this.question(`${printable(question)} [y/N] `);
    if (/^y(es)?$/i.test(answer?.trim() ?? '')) return;
    const reason = answer === undefined ? 'nobody is there to answer the question' : 'the answer was not yes';
    throw new CxmError('REFUSED', reason, { hint: answer === undefined ? 'add --yes if it is meant' : '' });
  }

  private async connect(): Promise<LocalConnection> {
    this.connection ??= await connectLocally(this.configuration().UNIX_PORT);
    return this.connection;
  }
}
