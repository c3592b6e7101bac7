/**
 * Live migration, both sides, over the connection that real xl uses: `ssh HOST xl migrate-receive` with the stream on its
 * standard input. The stages are real ones too, with what each failure leaves behind: until the guest is suspended it goes
 * on with its monitor, later it is resumed without; a name that is taken is noticed at the very end; a connection lost
 * after the permission to start leaves the domain suspended as NAME--migratedaway.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { attachDevices, beginDomain, destructionLines, nameTakenLine, removeDomain } from './build.ts';
import { findDomain, parseArguments, sleep, XlFailure } from './context.ts';
import type { Command, Context } from './context.ts';
import { staleWarnings } from './devices.ts';
import { settledCpu, startedCpu } from './domain.ts';
import type { SimulatedDomain } from './domain.ts';
import { continueGuest, stopGuest } from './guest-program.ts';
import { resume, sayRestored, streamInfo } from './save.ts';
import type { SavedDomain } from './save.ts';

const banner = 'xl migration receiver ready, send binary domain data.';
const tickMs = 20;

/** Lines of a stream, one at a time; undefined for ever once it has ended. */
class Lines {
  private readonly waiting: string[] = [];
  private wake: (() => void) | undefined;
  ended = false;

  constructor(input: Readable) {
    const reader = createInterface({ input });
    reader.on('line', (line) => {
      this.waiting.push(line);
      this.wake?.();
    });
    reader.on('close', () => {
      this.ended = true;
      this.wake?.();
    });
  }

  async next(): Promise<string | undefined> {
    while (this.waiting.length === 0 && !this.ended) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.waiting.shift();
  }
}

type Connection = ChildProcessByStdio<Writable, Readable, null>;

class Sender {
  private readonly context: Context;
  private readonly domain: SimulatedDomain;
  private readonly connection: Connection;
  private readonly lines: Lines;
  private readonly exit: Promise<number>;

  constructor(context: Context, domain: SimulatedDomain, command: string, host: string) {
    this.context = context;
    this.domain = domain;
    // As real xl: the command is shell text, given by the administrator. The host is not.
    const script = `exec ${command} "$1" xl migrate-receive`;
    this.connection = spawn('sh', ['-c', script, 'sh', host], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.connection.stdin.on('error', () => undefined);
    this.exit = new Promise((resolve) => {
      this.connection.on('close', (code) => resolve(code ?? 255));
      this.connection.on('error', () => resolve(255));
    });
    this.lines = new Lines(this.connection.stdout);
  }

  async run(): Promise<number> {
    const { context, domain } = this;
    const { id } = domain;
    if (!(await this.waitForBanner())) return this.broken('banner from migration receiver stream');
    context.say(`Saving to migration stream new xl format ${streamInfo}`);
    this.send({ settings: domain.settings, guest: { ...domain.guest, moves: domain.guest.moves + 1 } });
    context.say(`xc: info: Saving domain ${id}, type x86 ${domain.settings.type.toUpperCase()}`);
    if (!(await this.copy())) return this.brokenWhileCopying();
    this.suspend();
    this.send({ end: true });
    if ((await this.lines.next()) !== 'ready') {
      await this.broken('ready message from migration receiver stream');
      return this.resumeAtSender();
    }
    context.say('migration sender: Target has acknowledged transfer.');
    context.store.update(id, (current) => ({ ...current, name: `${domain.name}--migratedaway` }));
    context.say('migration sender: Giving target permission to start.');
    this.send({ go: true });
    return this.finish(await this.lines.next());
  }

  private async finish(reply: string | undefined): Promise<number> {
    const { context, domain } = this;
    if (reply === 'started') {
      context.say('migration sender: Target reports successful startup.');
      await removeDomain(context, domain.id);
      this.connection.stdin.end();
      await this.exit;
      context.say('Migration successful.');
      return 0;
    }
    if (reply === undefined) {
      context.say('** Migration failed during final handshake **');
      context.say('Domain state is now undefined !');
      return 1;
    }
    context.say('migration sender: Target reports startup failure (status code 6).');
    await this.exit;
    context.say('migration sender: Trying to resume at our end.');
    context.store.update(domain.id, (current) => ({ ...current, name: domain.name }));
    resume(context, domain.id);
    context.say('migration sender: Resumed OK.');
    context.say('Migration failed due to problems at target.');
    return 1;
  }

  private async waitForBanner(): Promise<boolean> {
    for (;;) {
      const line = await this.lines.next();
      if (line === undefined) return false;
      if (line.endsWith(banner)) return true;
    }
  }

  /** False when the receiver went away meanwhile. */
  private async copy(): Promise<boolean> {
    const begun = Date.now();
    do {
      this.send({ pages: 1 });
      await sleep(tickMs);
      if (this.lines.ended) return false;
    } while (Date.now() - begun < this.context.store.knobs.migrateCopyMs);
    return true;
  }

  private suspend(): void {
    stopGuest(this.context.store.get(this.domain.id));
    this.context.store.update(this.domain.id, (domain) => ({
      ...domain,
      cpu: settledCpu(domain, Date.now()),
      shutdown: 'suspend',
      monitored: false,
    }));
  }

  private send(message: object): void {
    this.connection.stdin.write(`${JSON.stringify(message)}\n`);
  }

  private async broken(what: string): Promise<number> {
    const status = await this.exit;
    this.context.say(`libxl: error: libxl_utils.c:505:libxl_read_exactly: file/stream truncated reading ${what}`);
    this.context.say(transportLine(status, this.connection.pid));
    return 1;
  }

  private resumeAtSender(): number {
    this.context.say('Migration failed, resuming at sender.');
    resume(this.context, this.domain.id);
    return 1;
  }

  private async brokenWhileCopying(): Promise<number> {
    const { id } = this.domain;
    const status = await this.exit;
    for (const line of [
      `libxl: error: libxl_utils.c:505:libxl_read_exactly: file/stream truncated reading ipc msg header from domain ${id} save/restore helper stdout pipe`,
      `libxl: error: libxl_exec.c:127:libxl_report_child_exitstatus: domain ${id} save/restore helper [${process.pid}] died due to fatal signal Broken pipe`,
      'migration sender: libxl_domain_suspend failed (rc=-3)',
      transportLine(status, this.connection.pid),
      'Migration failed, resuming at sender.',
      `xc: error: Dom ${id} not suspended: (shutdown 0, reason 255): Internal error`,
      `libxl: error: libxl_dom_suspend.c:666:domain_resume_done: Domain ${id}:xc_domain_resume failed: Invalid argument`,
    ]) {
      this.context.say(line);
    }
    return 1;
  }
}

function transportLine(status: number, pid: number | undefined): string {
  return `libxl: info: libxl_exec.c:117:libxl_report_child_exitstatus: migration transport process [${pid ?? 0}] exited with error status ${status}`;
}

export const migrate: Command = async (context, args) => {
  const { options, operands } = parseArguments(args, ['s:', 'C:', 'e', 'p', 'd', 'live', 'debug']);
  const [reference, host = ''] = operands;
  const domain = findDomain(context, reference);
  // It reads the configuration twice.
  for (let times = 0; times < 2; times += 1) staleWarnings(context, domain);
  return new Sender(context, domain, options.get('s') ?? 'ssh', host).run();
};

export const migrateReceive: Command = async (context, args) => {
  try {
    return await receive(context, args);
  } finally {
    // The sender may keep its end open while it waits for this process to end.
    process.stdin.destroy();
  }
};

const receive: Command = async (context, args) => {
  parseArguments(args, ['e', 'd', 'p', 'F']);
  const lines = new Lines(process.stdin);
  const fails = context.store.knobs.migrateFailsAt;
  context.out(`${banner}\n`);
  context.say('migration target: Ready to receive domain.');
  if (fails === 'hang') await sleep(3_600_000);
  const first = await lines.next();
  if (first === undefined) return 1;
  const saved = JSON.parse(first) as SavedDomain;
  context.say(`Loading new save file <incoming migration stream> (new xl fmt info 0x3/0x0/1223)`);
  context.say(' Savefile contains xl domain config in JSON format');
  context.say('Parsing config from <saved>');
  let id: number | undefined;
  try {
    id = await receiveDomain(context, saved, lines);
  } catch (error) {
    if (!(error instanceof XlFailure)) throw error;
    throw new XlFailure(1, ...error.lines, 'migration target: Domain creation failed (code -3).');
  }
  if (id === undefined || fails === 'ready') {
    if (id !== undefined) await removeDomain(context, id);
    return 1;
  }
  context.out('ready\n');
  context.say('migration target: Transfer complete, requesting permission to start domain.');
  if ((await lines.next()) === undefined) {
    await removeDomain(context, id);
    return 1;
  }
  context.say('migration target: Got permission, starting domain.');
  if (fails === 'handshake') process.exit(1);
  return startReceived(context, id, saved.settings.name);
};

/** Until all of the guest's memory is there; undefined when the sender went away. @throws XlFailure */
async function receiveDomain(context: Context, saved: SavedDomain, lines: Lines): Promise<number | undefined> {
  const { migrateFailsAt, migrateCopyMs } = context.store.knobs;
  const { settings } = saved;
  if (migrateFailsAt === 'receive') throw new XlFailure(3, ...destructionLines(1));
  const { id } = beginDomain(context, settings, {
    listedName: `${settings.name}--incoming`,
    durationMs: migrateCopyMs,
    paused: true,
    monitored: true,
    guest: saved.guest,
  });
  for (;;) {
    const line = await lines.next();
    if (line === undefined || migrateFailsAt === 'copy') {
      await removeDomain(context, id);
      return undefined;
    }
    if ('end' in (JSON.parse(line) as object)) break;
  }
  sayRestored(context);
  attachDevices(context, id);
  return id;
}

async function startReceived(context: Context, id: number, name: string): Promise<number> {
  const { store } = context;
  const refusal = store.locked(() => {
    if (store.knobs.migrateFailsAt === 'start') return 'libxl: error: libxl_domain.c:1:libxl_domain_unpause: refused';
    if (store.domains().some((domain) => domain.name === name)) return nameTakenLine(id, name);
    const domain = store.get(id);
    if (domain === undefined) return `libxl: error: Domain ${id}:Non-existant domain`;
    store.put({ ...domain, building: undefined, name, paused: false, cpu: startedCpu(Date.now()) });
    continueGuest(domain);
    return undefined;
  });
  if (refusal === undefined) {
    context.say('migration target: Domain started successsfully.');
    context.out('started\n');
    return 0;
  }
  context.say(refusal);
  context.out('failed 6\n');
  context.say('migration target: Failure, destroying our copy.');
  await removeDomain(context, id);
  context.say('migration target: Cleanup OK, granting sender permission to resume.');
  return 1;
}
