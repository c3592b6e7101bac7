/**
 * Leads through the steps: prints what is called, what became of it and what was checked, and adds up the figures. It
 * stops at the first call or check that fails.
 */
import { setTimeout } from 'node:timers/promises';
import type { MadeImages } from '../images.ts';
import type { Layout } from '../layout.ts';
import { CallFailed, createCaller, type CallResult } from '../one/calls.ts';
import { Lifecycle } from '../one/lifecycle.ts';
import type { Abilities } from '../prepare.ts';
import { changesBetween } from './changes.ts';
import { callsSince, journalEnd } from './journal.ts';
import { machinesOf, writeContexts } from './machines.ts';
import type { Printer } from './printer.ts';
import { CheckFailed, Stage, type Step } from './stage.ts';
import { steps } from './steps.ts';
import type { StepResult } from './table.ts';
import type { World } from './world.ts';

const signalGraceMs = 20;

export interface Tour {
  readonly layout: Layout;
  readonly abilities: Abilities;
  readonly images: MadeImages;
  readonly printer: Printer;
  /** How many steps; all when left out. */
  readonly stepCount?: number;
}

/** @returns whether every step went well */
export async function runTour({
  layout,
  abilities,
  images,
  printer,
  stepCount = steps.length,
}: Tour): Promise<boolean> {
  const checks: string[] = [];
  const calls: CallResult[] = [];
  let journal = journalEnd(layout);
  /** What the hook made oned do, as far as it has ended. */
  const tellNested = (): void => {
    const nested = callsSince(layout, journal);
    journal = journalEnd(layout);
    calls.push(...nested);
    for (const call of nested) printer.callEnds(call, true);
  };
  const caller = createCaller({
    layout,
    mounts: abilities.mounts,
    onStart: (call) => printer.callStarts(call),
    onEnd: (result) => {
      calls.push(result);
      printer.callEnds(result);
      tellNested();
    },
  });
  const lifecycle = new Lifecycle(layout, caller);
  for (const image of [images.system, images.data, images.appliance]) lifecycle.register(image);
  const machines = machinesOf(images);
  writeContexts(layout, machines);
  for (const machine of machines) lifecycle.allocate(machine);
  const stage = new Stage(layout, images, lifecycle, caller, (sentence) => checks.push(sentence));
  const results: StepResult[] = [];
  for (const step of steps.slice(0, stepCount)) {
    calls.length = 0;
    checks.length = 0;
    const before = stage.look();
    printer.step(step);
    const start = performance.now();
    const failure = await attempt(() => step.run(stage));
    tellNested();
    const durationMs = performance.now() - start;
    // Ctrl-C ends our children, too: what it does to us goes first, and is no failure to speak of.
    if (failure !== undefined) await setTimeout(signalGraceMs);
    const after = stage.look();
    printer.changes(changesBetween(before, after));
    printer.checks(checks);
    printer.stepEnds(step, failure === undefined);
    if (failure !== undefined) {
      explain(printer, failure);
      return false;
    }
    results.push(resultOf(step, calls, durationMs, [before, after]));
  }
  printer.table(results);
  return true;
}

async function attempt(work: () => Promise<void>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error ?? new Error('unknown');
  }
}

function explain(printer: Printer, failure: unknown): void {
  if (failure instanceof CallFailed) printer.failed(failure.message, failure.result);
  else if (failure instanceof CheckFailed) printer.failed(`this does not hold: ${failure.message}`, undefined);
  else printer.failed(failure instanceof Error ? (failure.stack ?? failure.message) : String(failure), undefined);
}

function resultOf(step: Step, calls: readonly CallResult[], durationMs: number, looks: readonly World[]): StepResult {
  const { volumes } = step;
  // A hook's own line counts what the calls within it have sent, and so does that of a command that runs the hook.
  const own = calls.filter(({ kind }) => kind !== 'hook' && kind !== 'cxm');
  return {
    title: step.title,
    calls: calls.length,
    durationMs,
    diskBytes: volumes === undefined ? undefined : Math.max(...looks.map((world) => sizeOf(world, volumes))),
    sentBytes: own.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
  };
}

function sizeOf(world: World, names: RegExp): number {
  return world.volumes.filter(({ name }) => names.test(name)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
