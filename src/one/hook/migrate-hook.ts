/**
 * one-migrate: after the cluster has moved a VM, make OpenNebula believe it. Asks what OpenNebula thinks, takes the
 * step that `decide` gives, and looks again until OpenNebula agrees or the time is up. Guarantees: bounded in time;
 * repeating it does no harm; every step goes to syslog; and OpenNebula is told nothing before the destination has
 * said, just now, that the VM runs there: told of a move that was overtaken, it would start the VM a second time.
 */
import { CxmError, asCxmError } from '../../errors.ts';
import type { Commands } from '../../host/commands.ts';
import { hostName } from '../arguments/values.ts';
import { createFrontend, type Frontend } from '../client.ts';
import { printable, quoted } from '../printable.ts';
import { decide, parseVersion, type Version } from './decision.ts';
import { volumesOf, type Look, type SoughtVm, type VolumeNaming } from './destination.ts';
import { findHost, sameHost } from './hosts.ts';
import { configurationFiles, isDomainName, vmIdOf } from './vm-id.ts';

export interface HookSettings {
  /** The frontend (ONE_HOST); empty when not configured. */
  readonly frontendHost: string;
  /** ONE_USER. */
  readonly frontendUser: string;
  /** CFG_DIR. */
  readonly configurationDirectory: string;
  /** The local account whose ssh key opens the frontend; our own when undefined. */
  readonly runAs: string | undefined;
  readonly connectTimeoutSeconds: number;
  /** How long to go on while the frontend is away (ONE_RETRY_TIMEOUT). */
  readonly retryTimeoutMs: number;
  /** For VMs whose configuration on this host does not say it; undefined where VG_NAME is not set. */
  readonly volumes: VolumeNaming | undefined;
}

/** What the hook needs of the world. */
export interface HookWorld {
  readonly commands: Commands;
  readonly look: Look;
  /** The text of a file, undefined if there is none. */
  readonly readFile: (path: string) => string | undefined;
  /** A clock that never goes back, ms. */
  readonly nowMs: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** Name of this machine. */
  readonly localHost: string;
  /** Writes one line to syslog. */
  readonly log: (text: string) => Promise<void>;
}

interface Move extends SoughtVm {
  readonly source: string;
  readonly destination: string;
}

const firstPauseMs = 1000;
const longestPauseMs = 30_000;
/** While OpenNebula is at it, look more often than while it or the destination is away. */
const waitPauseMs = 5000;
const actionMs = 120_000;

/**
 * Runs the hook.
 * @param argv VM, source host and destination host, as cxm names them
 * @returns when OpenNebula knows, or has no business with the VM
 * @throws CxmError USAGE, INVALID_INPUT, CONFIG, NOT_FOUND, UNSUPPORTED, TIMEOUT; logged already
 */
export async function runMigrateHook(argv: readonly string[], settings: HookSettings, world: HookWorld): Promise<void> {
  try {
    const move = identify(argv, settings, world);
    if (move === undefined) {
      await world.log(`${printable(argv[0] ?? '')} is no VM of OpenNebula: nothing to tell`);
      return;
    }
    const reason = await tellUntilKnown(move, settings, world);
    await world.log(`${describe(move)}: ${reason}`);
  } catch (error) {
    const failure = asCxmError(error);
    await world.log(`${printable(argv.join(' '), 200)}: given up: ${failure.message} (${failure.hint})`);
    throw failure;
  }
}

function identify(argv: readonly string[], settings: HookSettings, world: HookWorld): Move | undefined {
  const [name, source, destination] = argv;
  if (name === undefined || source === undefined || destination === undefined || argv.length !== 3) {
    throw new CxmError('USAGE', `one-migrate got ${argv.length} arguments instead of 3`, {
      hint: 'usage: one-migrate VM SOURCE_HOST DESTINATION_HOST',
    });
  }
  hostName(source, 'the source host');
  hostName(destination, 'the destination host');
  if (!isDomainName(name)) throw new CxmError('INVALID_INPUT', `${quoted(name)} is no name of a domain`);
  const files = configurationFiles(settings.configurationDirectory, name);
  const texts = files.map((file) => world.readFile(file)).filter((text) => text !== undefined);
  const vmId = vmIdOf(name, texts);
  if (vmId === undefined) return undefined;
  if (settings.frontendHost === '') {
    throw new CxmError('CONFIG', 'ONE_HOST is not set', { hint: 'set ONE_HOST in /etc/cxm/cxmrc to the frontend' });
  }
  return { name, vmId, volumes: volumesOf(vmId, texts) ?? settings.volumes, source, destination };
}

/** The loop of look, decide, tell. Ends with the reason why nothing is left to do. */
async function tellUntilKnown(move: Move, settings: HookSettings, world: HookWorld): Promise<string> {
  const frontend = createFrontend(world.commands, {
    kind: 'ssh',
    host: settings.frontendHost,
    user: settings.frontendUser,
    ...(settings.runAs === undefined ? {} : { runAs: settings.runAs }),
    connectTimeoutSeconds: settings.connectTimeoutSeconds,
  });
  let deadlineMs = world.nowMs() + settings.retryTimeoutMs;
  const memory: Memory = { version: undefined, seen: '', seenSinceMs: world.nowMs(), told: false, logged: '' };
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    let pause = pauseMs;
    let obstacle: string;
    try {
      const outcome = await look(move, frontend, memory, world);
      if (outcome.kind === 'done') return outcome.reason;
      obstacle = outcome.reason;
      if (outcome.kind !== 'unclear') pause = Math.min(pauseMs, waitPauseMs);
      // OpenNebula's own actions take a while; the first one gets that time even when little is left.
      if (outcome.kind === 'told' && !memory.told) deadlineMs = Math.max(deadlineMs, world.nowMs() + actionMs);
      memory.told ||= outcome.kind === 'told';
    } catch (error) {
      const failure = asCxmError(error);
      if (isFinal(failure)) throw failure;
      obstacle = failure.message;
    }
    if (obstacle !== memory.logged) await world.log(`${describe(move)}: not yet: ${obstacle}`);
    memory.logged = obstacle;
    const leftMs = deadlineMs - world.nowMs();
    if (leftMs <= 0) throw notInTime(move, settings, obstacle);
    await world.sleep(Math.min(pause, leftMs));
  }
}

interface Memory {
  version: Version | undefined;
  /** State and place of the VM as OpenNebula had it last, and since when. */
  seen: string;
  seenSinceMs: number;
  told: boolean;
  logged: string;
}

interface Outcome {
  /** `unclear`: the destination does not say whether the VM runs there. */
  readonly kind: 'done' | 'again' | 'told' | 'unclear';
  readonly reason: string;
}

/** One look and, if one is due, one step. */
async function look(move: Move, frontend: Frontend, memory: Memory, world: HookWorld): Promise<Outcome> {
  if (await isBackHere(move, world)) {
    return { kind: 'done', reason: `it runs on ${move.source} again, so this move is not told` };
  }
  memory.version ??= await versionOf(frontend);
  const vm = await frontend.virtualMachine(move.vmId);
  const hosts = await frontend.hosts();
  const seen = [vm.state, vm.lcmState, vm.history.at(-1)?.host, vm.history.at(-1)?.sequence].join(' ');
  if (seen !== memory.seen) {
    memory.seen = seen;
    memory.seenSinceMs = world.nowMs();
  }
  const destinationHost = findHost(move.destination, hosts).name;
  const step = decide({
    vm,
    version: memory.version,
    sourceHost: sourceName(move.source, hosts),
    destinationHost,
    unchangedMs: world.nowMs() - memory.seenSinceMs,
  });
  switch (step.kind) {
    case 'done':
      return step;
    case 'wait':
      return { kind: 'again', reason: step.reason };
    case 'impossible':
      throw new CxmError('UNSUPPORTED', step.reason, {
        hint: `run \`onevm show ${move.vmId}\` on the frontend and bring both together by hand`,
      });
    case 'tell': {
      const doubt = await doubtOf(move, destinationHost, world);
      if (doubt !== undefined) return doubt;
      await world.log(`${describe(move)}: ${step.reason}; running onevm ${step.words.join(' ')}`);
      await frontend.run('onevm', step.words);
      return { kind: 'told', reason: `told OpenNebula with onevm ${step.words.join(' ')}` };
    }
  }
}

/**
 * Why OpenNebula must not be told now, by what the destination says; undefined when the VM runs there. Only a clear no
 * ends the hook: a destination that can't answer, or where the VM is neither running nor gone, is asked again later.
 */
async function doubtOf(move: Move, host: string, { look }: HookWorld): Promise<Outcome | undefined> {
  let sight: Awaited<ReturnType<Look>>;
  try {
    sight = await look(host, move);
  } catch (error) {
    return { kind: 'unclear', reason: `whether the VM runs on ${host} can't be seen: ${asCxmError(error).message}` };
  }
  if (sight.running) return undefined;
  if (sight.present) return { kind: 'unclear', reason: `it is on ${host}, but does not run there` };
  if (move.volumes === undefined) {
    throw new CxmError('CONFIG', `${host} does not know the VM, but was not told the volume group of its disks`, {
      hint: `set VG_NAME in /etc/cxm/cxmrc of this host; look with \`xl list\` where ${move.name} runs`,
    });
  }
  return { kind: 'done', reason: `overtaken: it does not run on ${host} any more, so this move is not told` };
}

/** A source that OpenNebula does not know is no obstacle: it may have been removed after it died. */
function sourceName(source: string, hosts: Parameters<typeof findHost>[1]): string {
  try {
    return findHost(source, hosts).name;
  } catch {
    return source;
  }
}

/** The VM came back to this node while the frontend was away: its other hook tells that. */
async function isBackHere(move: Move, world: HookWorld): Promise<boolean> {
  if (!sameHost(move.source, world.localHost) || sameHost(move.destination, world.localHost)) return false;
  try {
    const options = { okExitCodes: 'any', timeoutMs: 20_000 } as const;
    const result = await world.commands.run('xl', ['domid', move.name], options);
    return result.exitCode === 0 && /^[0-9]+\s*$/.test(result.stdout);
  } catch {
    return false;
  }
}

async function versionOf(frontend: Frontend): Promise<Version> {
  const { stdout } = await frontend.run('onevm', ['--version']);
  const version = parseVersion(stdout);
  if (version !== undefined) return version;
  throw new CxmError('COMMAND', `onevm --version on the frontend says ${quoted(stdout)}`, {
    hint: 'check that onevm of ONE_USER on the frontend is the one of OpenNebula',
  });
}

/** What time does not mend. A refusal of oned may be due to a state that changed meanwhile, so it is tried again. */
function isFinal(error: CxmError): boolean {
  return ['CONFIG', 'NOT_FOUND', 'UNSUPPORTED', 'INVALID_INPUT', 'INTERNAL'].includes(error.code);
}

function notInTime(move: Move, settings: HookSettings, obstacle: string): CxmError {
  const seconds = Math.round(settings.retryTimeoutMs / 1000);
  return new CxmError('TIMEOUT', `OpenNebula was not told within ${seconds} s that ${describe(move)}: ${obstacle}`, {
    hint:
      `when it is well again, look on ${move.destination} with \`xl list\` first; only if ${move.name} runs there, ` +
      `run \`one-migrate ${move.name} ${move.source} ${move.destination}\``,
  });
}

function describe(move: Move): string {
  return `VM ${move.vmId} (${move.name}) moved from ${move.source} to ${move.destination}`;
}
