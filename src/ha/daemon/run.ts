/**
 * The life of the daemon: opens what it works with, joins, and ends in order.
 *
 * Guarantees: the port of calls is taken first, so there is one cxmd a node; nothing is opened that a refusal would have to
 * undo on other nodes; a clean end says goodbye in the slot, and leaves the watchdog at rest; every other end doesn't.
 */
import type { CxmConf } from '../../config/cxm-conf.ts';
import { asCxmError } from '../../errors.ts';
import { serveLocally } from '../calls/local-calls.ts';
import { servePeers } from '../calls/peer-calls.ts';
import { DiskThread } from '../disk/disk-thread.ts';
import { bootClock } from '../effects/boot-clock.ts';
import type { Hypervisor } from '../effects/hypervisor.ts';
import type { MasterWork } from '../effects/master-work.ts';
import { requireUsable, Watchdog } from '../effects/watchdog.ts';
import { readClusterKeys } from '../wire/cluster-key.ts';
import { Rejections } from '../wire/rejections.ts';
import { DaemonNetwork } from './network.ts';
import type { NodeState } from '../protocol/state.ts';
import { createLogger, type Logger } from './log.ts';
import { Journal } from './journal.ts';
import { MasterRounds } from './master-rounds.ts';
import { changingMethods, peerMethods, readingMethods } from './methods.ts';
import { daemonSettings, fencingOf, reloaded } from './settings.ts';
import { Shell, type ShellParts } from './shell.ts';
import { linkToSystemd } from './systemd.ts';
import { programsOf } from './programs.ts';
import { statusOf, statusSentence } from './view.ts';

export interface DaemonEnvironment {
  /** Which of the nodes this machine is. */
  localNameIn(conf: CxmConf): string;
  readonly version: string;
  /** Text of the disk thread's program. */
  readonly diskProgram: string;
  /** Reads cxm.conf. @throws CxmError CONFIG */
  configuration(): CxmConf;
  /** What works on the cluster. @param conf as it is at the moment of a call */
  toolkit(conf: () => CxmConf): Toolkit;
  write(line: string): void;
}

export interface Toolkit {
  readonly hypervisor: Hypervisor;
  readonly balancer: MasterWork;
  /** Of migrations that were cut off. */
  readonly mender: MasterWork;
}

/** systemd starts it again after 1 only. */
export const daemonExits = { clean: 0, failed: 1, configuration: 3, refused: 3, out: 4 } as const;

const diskOpenMs = 15_000;
/** Nobody waits longer for a disk when the process is to end. */
const endMs = 1000;
const mendIntervalMs = 60_000;

/** @returns never: the process ends with one of the exit codes */
export async function runDaemon(environment: DaemonEnvironment): Promise<void> {
  let log = createLogger((line) => environment.write(line), false);
  try {
    const conf = environment.configuration();
    log = createLogger((line) => environment.write(line), conf.DAEMON_DEBUG);
    const daemon = new Daemon(environment, conf, log);
    await daemon.begin().catch((error: unknown) => daemon.fail(error));
  } catch (error) {
    const { message, hint } = asCxmError(error);
    log('configuration', `cxmd can't begin: ${message}; ${hint}`);
    endSoon(daemonExits.configuration);
  }
}

class Daemon {
  private conf: CxmConf;
  /** Goodbye is being said, or was. */
  private isEnding = false;
  private isOver = false;
  private readonly closers: (() => void)[] = [];
  private disk: DiskThread | undefined;
  private watchdog: Watchdog | undefined;
  private shell: Shell | undefined;
  private journal: Journal | undefined;
  private readonly clock = bootClock();
  private readonly systemd = linkToSystemd(process.env);

  constructor(
    private readonly environment: DaemonEnvironment,
    conf: CxmConf,
    private readonly log: Logger,
  ) {
    this.conf = conf;
  }

  /** It could not begin, or can't go on. */
  fail(error: unknown): void {
    const { code, message, hint } = asCxmError(error);
    this.log('configuration', `cxmd can't go on: ${message}; ${hint}`);
    const isTemporary = code === 'IO' || code === 'TIMEOUT' || code === 'INTERNAL' || code === 'NOT_FOUND';
    this.end(false, isTemporary ? daemonExits.failed : daemonExits.configuration, message);
    // What waits for a disk that hangs can't be ended in order.
    if (code === 'TIMEOUT') setTimeout(() => process.kill(process.pid, 'SIGKILL'), 2 * endMs);
  }

  async begin(): Promise<void> {
    const { conf, clock, log, environment } = this;
    const localName = environment.localNameIn(conf);
    const settings = daemonSettings(conf, localName);
    const { cluster, diskPath } = settings;
    if (conf.WATCHDOG !== undefined) requireUsable(conf.WATCHDOG, conf.WATCHDOG_TIMEOUT);
    let keys = readClusterKeys(conf.CLUSTER_KEY, cluster);
    // Not the clock of the protocol, which costs a call of the kernel: a flood is counted thousands of times a second.
    const rejections = new Rejections(
      () => performance.now(),
      (kind, count, source) => {
        log('refused', `${kind}: ${count} since this was told last, the latest from ${source}`);
      },
    );
    const network = new DaemonNetwork({
      conf,
      cluster,
      self: settings.node.self,
      keys: () => keys,
      rejections,
      clock,
      log,
      received: (datagram) => this.shell?.happen({ kind: 'datagram', datagram }),
    });
    const refused = (kind: string, source: string): void => rejections.count(kind, source);
    const methods = peerMethods(() => this.shell);
    const listen = network.ownAddresses;
    const isNode = (address: string): boolean => network.isNode(address);
    this.keep(await servePeers({ port: conf.TCP_PORT, listen, keys: () => keys, methods, isNode, refused }));
    const opened = await DiskThread.open({ program: environment.diskProgram, path: diskPath, cluster }, diskOpenMs);
    this.disk = opened.disk;
    opened.disk.onEnd((error) => this.fail(error));
    this.keep(await network.open());
    const journal = new Journal(conf.STATE_DIR, (reason) => log('journal', `the journal can't be written: ${reason}`));
    this.journal = journal;
    const { hypervisor, ...masterWork } = environment.toolkit(() => this.conf);
    const parts = { ...this.parts(opened.disk, network, journal), hypervisor };
    const shell = new Shell({ ...settings.node, diskId: opened.diskId }, parts);
    this.shell = shell;
    const { version } = environment;
    const own = { shell, clock, journal, started: new Date(), version, rejections: () => rejections.totals() };
    const reading = readingMethods(own);
    const all = new Map([...reading, ...changingMethods(own)]);
    const { UNIX_PORT: path, CXMD_GROUP: group } = conf;
    this.keep(await serveLocally({ path, group, methods: all, readingMethods: reading }));
    this.takeSignals((fresh) => {
      const next = reloaded(this.conf, fresh, localName);
      keys = readClusterKeys(fresh.CLUSTER_KEY, cluster);
      for (const sentence of next.waiting) log('configuration', sentence);
      this.conf = next.conf;
      shell.reconfigure({ nodes: this.conf.ALLOWED_NODES, fencing: fencingOf(this.conf).fencing });
      network.change(this.conf);
    });
    log('started', `cxmd ${version} on ${localName}, cluster ${cluster}, disk ${diskPath}`);
    shell.start();
    this.beginRounds(masterWork);
    this.systemd.notify('READY=1', 'STATUS=joining');
    this.systemd.follow(() => statusSentence(statusOf(shell.state, clock(), own.started, version)));
    this.systemd.startWatchdog();
    await shell.call({ kind: 'join' });
  }

  private parts(disk: DiskThread, network: DaemonNetwork, journal: Journal): Omit<ShellParts, 'hypervisor'> {
    const { clock, log } = this;
    return {
      clock,
      disk,
      log,
      journal,
      send: (datagram) => network.send(datagram),
      askPeer: (node, request, deadlineMs) => network.ask(node, request, deadlineMs),
      ...programsOf(() => this.conf, clock),
      feedWatchdog: () => this.feedWatchdog(),
      restartRules: () => ({ first: this.conf.RESTART_FIRST, never: this.conf.NO_RESTART }),
      stopped: (reason, end) => this.stopped(reason, end),
    };
  }

  private beginRounds({ balancer, mender }: Omit<Toolkit, 'hypervisor'>): void {
    const { clock, log } = this;
    const state = (): NodeState | undefined => (this.isEnding ? undefined : this.shell?.state);
    const balanceMs = (): number => this.conf.LB_INTERVAL * 1000;
    for (const rounds of [
      new MasterRounds({ work: balancer, event: 'balance', clock, log, state, intervalMs: balanceMs }),
      new MasterRounds({ work: mender, event: 'mended', clock, log, state, intervalMs: () => mendIntervalMs }),
    ]) {
      rounds.start();
      this.keep({ close: () => rounds.end() });
    }
  }

  /** @param reload changes nothing if it throws */
  private takeSignals(reload: (conf: CxmConf) => void): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.leave());
    process.on('SIGHUP', () => {
      try {
        reload(this.environment.configuration());
        this.log('reloaded', 'cxm.conf and the key of the cluster were read again');
      } catch (error) {
        this.log('configuration', `nothing was changed: ${asCxmError(error).message}`);
      }
    });
  }

  /**
   * As a person or the system says: goodbye first. It is answered when the slot says so, or when the disk has not taken it for
   * too long; nothing makes it end before that, since an end without goodbye is a death to the others.
   */
  private leave(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.systemd.notify('STOPPING=1');
    if (this.shell === undefined) this.end(true, daemonExits.clean);
    else void this.shell.call({ kind: 'leave' });
  }

  /** The first time it begins to run: not before others are to count on it. A daemon that was killed has left it running. */
  private feedWatchdog(): void {
    const { WATCHDOG, WATCHDOG_TIMEOUT } = this.conf;
    if (WATCHDOG === undefined) return;
    try {
      this.watchdog ??= Watchdog.open(WATCHDOG, WATCHDOG_TIMEOUT);
      this.watchdog.feed();
    } catch (error) {
      this.fail(error);
    }
  }

  /** The protocol has ended: clean, or taken out. */
  private stopped(reason: string, { clean, atRest }: { readonly clean: boolean; readonly atRest: boolean }): void {
    this.isEnding = true;
    const wasRefused = clean && reason !== 'left';
    // Replies to whoever asked for it go out first.
    setTimeout(() => {
      this.end(atRest, wasRefused ? daemonExits.refused : clean ? daemonExits.clean : daemonExits.out, reason);
    }, 100);
  }

  /** @param atRest the watchdog is put to rest; otherwise the others count on it that a silent node is off */
  private end(atRest: boolean, code: number, reason = 'asked to'): void {
    if (this.isOver) return;
    this.isOver = true;
    this.log('stopped', `cxmd ends: ${reason}`);
    this.shell?.end();
    if (atRest) this.watchdog?.rest();
    for (const close of this.closers.splice(0)) close();
    const closing = this.disk?.close(endMs) ?? Promise.resolve(true);
    const written = Promise.race([this.journal?.flush(), new Promise((resolve) => setTimeout(resolve, endMs))]);
    void Promise.all([closing, written]).then(([closed]) => {
      // A thread that waits for a dead disk would keep the process from ending in order.
      if (closed) endSoon(code);
      else process.kill(process.pid, 'SIGKILL');
    });
  }

  private keep(closable: { close(): void }): void {
    this.closers.push(() => closable.close());
  }
}

/** When the last lines of the log have gone. */
function endSoon(code: number): void {
  setTimeout(() => process.exit(code), 50);
}
