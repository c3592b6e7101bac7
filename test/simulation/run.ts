/**
 * Runs a plan: quiet, faults, an administrator who mends everything, and the cluster must be well again; then on to the
 * next episode. The quiet time in between is counted but not lived through: in it nothing but heartbeats happens, and
 * the settled cluster that enters it is the one that leaves it.
 */
import type { Rules } from '../../src/ha/protocol/rules.ts';
import { isMember } from '../../src/ha/protocol/blocks.ts';
import { Violation } from './checks.ts';
import { apply, powerOn } from './faults.ts';
import { createVm } from './operators.ts';
import type { SimNode } from './node.ts';
import type { Episode, Plan } from './plan.ts';
import { noTroubles } from './troubles.ts';
import { World } from './world.ts';

/** What a run has broken: of which guarantee, and how. */
export interface Broken {
  readonly guarantee: string;
  readonly message: string;
}

/** Plain data but for the violation of a run in this process. */
export interface Outcome {
  readonly violation: Broken | undefined;
  /** Simulated, of which so much was stepped through event by event. */
  readonly totalMs: number;
  readonly steppedMs: number;
  readonly events: number;
  readonly fences: number;
  /** From power loss to the first order to start carried out, without the fence command's time; per death episode. */
  readonly failoversMs: readonly { readonly ms: number; readonly wasMaster: boolean }[];
}

export interface RunOptions {
  readonly rules?: Rules;
  readonly asksNoBystander?: boolean;
  readonly trace?: (line: string) => void;
}

export function runPlan(plan: Plan, options: RunOptions = {}): Outcome {
  const world = new World({ ...plan, ...options });
  const failoversMs: { ms: number; wasMaster: boolean }[] = [];
  let steppedMs = 0;
  const outcome = (violation: Violation | undefined): Outcome => ({
    violation,
    totalMs: violation === undefined ? Math.max(plan.hoursMs, world.queue.nowMs) : world.queue.nowMs,
    steppedMs: world.queue.nowMs,
    events: world.queue.count,
    fences: world.power.fences,
    failoversMs,
  });
  try {
    world.power.watch();
    world.bootAll();
    settle(world, 'after the start');
    for (const episode of plan.episodes) {
      live(world, plan, episode, failoversMs);
      steppedMs = world.queue.nowMs;
    }
    return outcome(undefined);
  } catch (error) {
    if (error instanceof Violation) return outcome(error);
    throw new Error(`seed ${String(plan.seed)} at ${String(world.seconds)} s, settled at ${String(steppedMs)} ms`, {
      cause: error,
    });
  }
}

function live(world: World, plan: Plan, episode: Episode, failovers: { ms: number; wasMaster: boolean }[]): void {
  world.log(undefined, `EPISODE ${episode.kind}`);
  world.run(world.random.between(2000, 12_000));
  world.checks.mayFence = episode.kind !== 'benign';
  if (episode.kind === 'death') {
    liveDeath(world, plan, episode, failovers);
  } else {
    for (const { afterMs, fault } of episode.faults) {
      world.queue.after(afterMs, () => {
        apply(world, fault);
      });
    }
    world.run(episode.lengthMs);
  }
  mend(world);
  settle(world, `after an episode of ${episode.kind}`);
  world.checks.mayFence = true;
}

/** L1: its VMs are being started within 15 s (18 s if it was the master) and the time of the fence command. */
function liveDeath(world: World, plan: Plan, episode: Episode, failovers: { ms: number; wasMaster: boolean }[]): void {
  const [first] = episode.faults;
  if (first?.fault.kind !== 'power-loss') return;
  if (episode.resting !== undefined) rest(world, world.node(episode.resting));
  world.run(first.afterMs);
  const victim = world.node(first.fault.node);
  const vms = [...victim.vms];
  const others = world.nodes.filter((node) => node !== victim && node.powered);
  const wasMaster = world.master() === victim;
  const diedMs = world.queue.nowMs;
  // A late write of an earlier episode may void a claim of the lease: rightly, and that takes its time.
  const isHaunted = world.disk.ghostsUnderWay > 0;
  let startedMs = 0;
  world.guests.began = (vm) => {
    if (vms.includes(vm) && startedMs === 0) startedMs = world.queue.nowMs;
  };
  apply(world, first.fault);
  const fences = plan.fencing !== 'disabled';
  const limitMs = ((wasMaster ? 18_000 : 15_000) * world.timing.timerMs) / 3000;
  world.run(episode.lengthMs);
  world.guests.began = () => undefined;
  if (vms.length === 0 || others.length === 0 || !fences || isHaunted) return;
  const tookMs = startedMs - diedMs - world.power.lastDurationMs;
  if (startedMs === 0) world.checks.fail('L1', `no VM of ${victim.name} was started after it died`);
  failovers.push({ ms: tookMs, wasMaster });
  // The power state is asked for after the fence command; both are the administrator's programs.
  if (tookMs > limitMs + 400)
    world.checks.fail('L1', `${victim.name} died, first start after ${String(Math.round(tookMs))} ms`);
}

/** Emptied, switched off without a goodbye, and looked after no more. */
function rest(world: World, node: SimNode): void {
  node.call({ kind: 'maintenance', on: true });
  for (let second = 0; second < 90 && node.vms.size > 0; second += 1) world.run(1000);
  world.run(world.random.between(2000, 10_000));
  if (node.vms.size > 0) return;
  node.powerOff();
  // Who is lost together with the next one is not lost before.
  world.run(world.random.between(12_000, 60_000));
  if (typeof world.disk.slots[node.index] === 'object') return;
  // The power went in the middle of a write. Nothing is started then before a person says that it is off.
  world.master()?.call({ kind: 'kill', node: node.index, confirmedOff: true });
  world.run(15_000);
}

/** An administrator heals, powers on, restarts, and says what a person has to say. */
function mend(world: World): void {
  world.log(undefined, 'MEND');
  world.network.heal();
  for (const node of world.nodes) {
    world.disk.heal(node.index);
    node.wake();
    Object.assign(node.troubles, noTroubles());
    node.wallOffsetMs = 0;
  }
  world.trap = undefined;
  world.power.mode = 'works';
  world.guests.startFails = 0;
  world.guests.startUnknown = 0;
  world.guests.startMs = 3000;
  world.guests.shortages = 0;
  world.run(3000);
  // What a late fence command does yet belongs to what was wrong.
  while (world.power.underWay > 0) world.run(1000);
}

/** Longer than every deadline of the protocol together. */
const patienceMs = 400_000;

function settle(world: World, when: string): void {
  const untilMs = world.queue.nowMs + patienceMs;
  let round = 0;
  while (world.queue.nowMs < untilMs) {
    world.run(1000);
    round += 1;
    if (round % 3 === 0) nurse(world, round);
    if (isWell(world)) return;
  }
  world.checks.fail('L', `the cluster is not well ${when}: ${complaint(world)}`);
}

function nurse(world: World, round: number): void {
  for (const node of world.nodes) {
    if (!node.powered) powerOn(world, node.index);
    else if (!node.alive && round % 15 === 0) node.boot();
    if (node.alive && node.state.maintenance) node.call({ kind: 'maintenance', on: false });
  }
  const master = world.master();
  if (master === undefined) return;
  if (master.state.switches.panic.on && round % 15 === 0) master.call({ kind: 'recover' });
  if (master.state.switches.disarmed.on) master.call({ kind: 'disarm', on: false });
  if (round % 12 !== 0 || master.state.recovery !== undefined) return;
  for (const vm of world.guests.wanted) {
    const isBusy = world.nodes.some(({ state }) => state.works.some((work) => work.vm === vm));
    if (world.guests.hostOf(vm) === undefined && !isBusy) createVm(world, world.random.pick(world.nodes).index, vm);
  }
}

function isWell(world: World): boolean {
  return complaint(world) === '';
}

/** What still is not as it should be; empty when all is well. */
export function complaint(world: World): string {
  const masters = world.nodes.filter((node) => world.checks.isMaster(node));
  if (masters.length !== 1) return `${String(masters.length)} masters`;
  for (const { name, alive, powered, state, clockMs } of world.nodes) {
    if (!powered || !alive) return `${name} is down`;
    if (!isMember(state.role) || state.role === 'voting') return `${name} is ${state.role}, ${state.joinRefused}`;
    if (clockMs - state.slotWrittenMs > 4000) return `${name} can't write its slot`;
    if (state.switches.panic.on) return `${name} is in panic`;
    if (state.switches.disarmed.on || state.maintenance) return `${name} is disarmed or in maintenance`;
    if (state.works.length > 0) return `${name} has ${state.works.map(({ vm, phase }) => `${vm} ${phase}`).join(', ')}`;
    if (state.recovery !== undefined || state.evacuation !== undefined) return `${name} recovers or empties a node`;
  }
  for (const vm of world.guests.wanted) if (world.guests.hostOf(vm) === undefined) return `${vm} does not run`;
  return '';
}
