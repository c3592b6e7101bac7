/**
 * What xl does on the nodes of the model, stage by stage, as it was recorded of real xl: each `yield` is a moment at which
 * anything else may happen. A program goes on when whoever began it has died; it ends with its node.
 */
import { ToolstackError, type ToolstackReason } from '../../../src/xen/toolstack-error.ts';
import type { Random } from './scheduler.ts';
import type { ModelDomain, ModelNode, World } from './world.ts';

/** A pause of so many milliseconds; undefined: until it is drawn. */
export type Stages = Generator<number | undefined, void, void>;

export type MigrationFault = 'none' | 'early' | 'late' | 'lostBeforeGo' | 'lostAfterGo';

export function xlError(reason: ToolstackReason, text: string = reason): ToolstackError {
  const code = reason === 'unknownDomain' ? 'NOT_FOUND' : reason === 'timeout' ? 'TIMEOUT' : 'XEN';
  return new ToolstackError(reason, code, `xl failed: ${text}`, { changed: 'maybe', said: text });
}

function freeMemory(node: ModelNode): number {
  return node.totalMemoryMib - node.domains.reduce((sum, { memoryMib }) => sum + memoryMib, 0);
}

/** @param delayMs nothing is listed while xl looks for memory or runs a bootloader */
export function* create(world: World, node: ModelNode, vm: string, delayMs: number | undefined): Stages {
  yield delayMs;
  const config = node.configs.get(vm);
  if (config === undefined) throw xlError('badConfig');
  if (freeMemory(node) < config.memoryMib) throw xlError('noMemory');
  if (node.domains.some((other) => other.vm === vm && other.phase !== 'dying')) throw xlError('nameTaken');
  const domain = world.addDomain(node, vm, 'building', config);
  yield undefined;
  if (domain.phase !== 'building') throw xlError('other', 'destroyed meanwhile');
  const fault = world.attach(node, domain);
  if (fault !== undefined) {
    world.remove(node, domain);
    throw xlError(fault);
  }
  yield undefined;
  if (domain.phase !== 'building') throw xlError('other', 'destroyed meanwhile');
  world.goLive(node, domain);
  yield undefined;
}

export interface Migration {
  readonly source: ModelNode;
  readonly destination: ModelNode;
  readonly domainId: number;
  readonly deadlineMs: number;
  readonly fault: MigrationFault;
}

export function* migrate(world: World, random: Random, migration: Migration): Stages {
  const { source, destination, domainId, deadlineMs, fault } = migration;
  const began = world.scheduler.now;
  const boots = destination.boots;
  yield undefined;
  const domain = source.domains.find(({ id }) => id === domainId);
  if (domain === undefined || domain.phase === 'dying') throw xlError('unknownDomain');
  if (!destination.up) throw xlError('unreachable');
  if (freeMemory(destination) < domain.memoryMib) throw xlError('noMemory');
  const copy = world.addDomain(destination, domain.vm, 'incoming', domain);
  const lostPower = (): boolean => destination.boots !== boots;
  const abandon = (): void => world.remove(destination, copy);
  for (let copying = random.below(4); copying >= 0; copying -= 1) yield undefined;
  if (fault === 'early') {
    abandon();
    throw xlError('receiverFailed');
  }
  if (lostPower()) yield* hang(world, began + deadlineMs);
  if (domain.phase !== 'running' || !source.domains.includes(domain)) {
    abandon();
    throw xlError('other', 'the guest has ended');
  }
  domain.phase = 'suspended';
  domain.hasMonitor = false;
  yield* handOver(world, { migration, domain, copy, lostPower, began });
}

/** No answer from a node without power, until the deadline ends the connection; the guest goes on at the source. */
function* hang(world: World, until: number): Stages {
  yield Math.max(0, until - world.scheduler.now);
  throw xlError('timeout');
}

interface HandOver {
  readonly migration: Migration;
  readonly domain: ModelDomain;
  readonly copy: ModelDomain;
  readonly lostPower: () => boolean;
  readonly began: number;
}

function* handOver(world: World, { migration, domain, copy, lostPower, began }: HandOver): Stages {
  const { source, destination, fault, deadlineMs } = migration;
  const resume = (): void => {
    if (domain.phase === 'suspended' || domain.phase === 'away') domain.phase = 'running';
  };
  const abandon = (): void => world.remove(destination, copy);
  yield undefined;
  if (lostPower()) {
    resume();
    yield* hang(world, began + deadlineMs);
  }
  const taken = destination.domains.some((other) => other !== copy && other.vm === copy.vm);
  const attached = world.attach(destination, copy);
  if (fault === 'late' || taken || attached !== undefined || !destination.domains.includes(copy)) {
    abandon();
    yield undefined;
    resume();
    throw xlError(attached ?? (taken ? 'nameTaken' : 'receiverFailed'));
  }
  yield undefined;
  // Destroyed while it was suspended: nothing is handed over.
  if (domain.phase !== 'suspended') {
    abandon();
    throw xlError('other', 'the guest has ended');
  }
  domain.phase = 'away';
  yield undefined;
  if (fault === 'lostBeforeGo' || lostPower() || !destination.domains.includes(copy)) {
    abandon();
    throw xlError('handshakeLost');
  }
  world.arrive(destination, copy);
  yield undefined;
  if (fault === 'lostAfterGo') throw xlError('handshakeLost');
  if (source.domains.includes(domain)) world.tearDown(source, domain);
  yield 800;
}

/** Runs a program on a node to its end. @param ended with undefined when it went with its node */
export function runProgram(
  world: World,
  node: ModelNode,
  stages: Stages,
  { label, ended }: { readonly label: string; readonly ended: (result: 'done' | 'gone' | ToolstackError) => void },
): void {
  const boots = node.boots;
  const advance = (): void => {
    if (node.boots !== boots) return ended('gone');
    let next: ReturnType<Stages['next']>;
    try {
      next = stages.next();
    } catch (error) {
      if (!(error instanceof ToolstackError)) throw error;
      return ended(error);
    }
    if (next.done === true) return ended('done');
    if (next.value === undefined) world.scheduler.soon(`${node.name}: ${label}`, advance);
    else world.scheduler.later(next.value, `${node.name}: ${label} goes on`, advance);
  };
  advance();
}
