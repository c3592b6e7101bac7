/** `cxm loadbalance`: measures, plans, shows the plan, asks, and migrates in order. */
import { readFileSync, writeFileSync } from 'node:fs';
import { explainNothingBetter, explainReason, explainUnresolved } from '../../balance/explain.ts';
import { parseClusterFile, type ClusterFile } from '../../balance/file.ts';
import { renderTextFile } from '../../balance/file-text.ts';
import { planBalance, type BalancePlan } from '../../balance/plan.ts';
import { lookForBalance } from '../../cluster/balance-look.ts';
import { costOf, limitsOf } from '../../cluster/balance-rules.ts';
import { carryOutMoves } from '../../cluster/many.ts';
import { CxmError } from '../../errors.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { tellSilent } from '../look.ts';
import { concludeMany, failuresJson } from '../many-output.ts';
import { partOf } from '../words.ts';

export const loadbalance: CommandBody = async (context) => {
  const { state, saveState, dryRun, json, yes, quiet } = context.options;
  if (json && !(dryRun || state !== undefined || yes || quiet)) {
    throw new CxmError('USAGE', 'cxm loadbalance --json shows nobody what it asks about', {
      hint: 'add --dry-run or --yes',
    });
  }
  const file = state === undefined ? await measured(context) : readState(state);
  if (saveState !== undefined) writeState(saveState, file);
  const { configuration } = context.environment.configuration();
  const plan = planBalance(file.state, limitsOf(configuration), { rules: file.rules, cost: costOf(configuration) });
  for (const vm of plan.unknownVms) context.progress.note('WARN', `a rule names ${vm}, which does not run`);
  const onlyShown = dryRun || state !== undefined;
  if (!json || onlyShown) show(context, plan, onlyShown);
  if (onlyShown || plan.plan.length === 0) {
    if (json && !onlyShown) context.json({ plan: planJson(plan), done: [], failures: [] });
    return exitCodes.done;
  }
  return carryOut(context, plan);
};

async function carryOut(context: CommandContext, plan: BalancePlan): Promise<ExitCode> {
  await context.confirm('Proceed?');
  const { done, failures } = await carryOutMoves(await context.open(), plan.plan);
  const moves = done.map(({ vm, source, destination }) => ({ vm, source, destination }));
  const sentence = `${partOf(done.length, plan.plan.length, 'migration', 'was')} made.`;
  context.answer(sentence, { plan: planJson(plan), done: moves, failures: failuresJson(failures) });
  return concludeMany(context, failures);
}

async function measured(context: CommandContext): Promise<ClusterFile> {
  const cluster = await context.open();
  const looking = lookForBalance(cluster, context.environment.configuration().configuration);
  const { state, rules, silent, leftOut, strangers } = await context.progress.during(
    () => 'measuring the load of the VMs',
    looking,
  );
  tellSilent(context, silent);
  for (const { reason } of leftOut) context.progress.note('WARN', `${reason}: it stays where it is`);
  for (const vm of strangers) {
    context.progress.note('WARN', `a rule of cxm.conf names ${vm}, of which there is no configuration`);
  }
  return { state, rules };
}

function readState(path: string): ClusterFile {
  try {
    return parseClusterFile(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof CxmError) throw error;
    throw fileError(path, 'read', error);
  }
}

function writeState(path: string, file: ClusterFile): void {
  try {
    writeFileSync(path, renderTextFile(file));
  } catch (error) {
    throw fileError(path, 'written', error);
  }
}

/** Without the name of the call and the path once more. */
function fileError(path: string, what: string, cause: unknown): CxmError {
  const said = cause instanceof Error ? cause.message : String(cause);
  const [, reason = said] = /^[A-Z0-9]+: (.*?), [a-z]+\b/s.exec(said) ?? [];
  return new CxmError('IO', `${path} can't be ${what}: ${reason}`, { hint: 'name another file', cause });
}

function show(context: CommandContext, plan: BalancePlan, onlyShown: boolean): void {
  if (context.options.json) {
    context.json({ plan: planJson(plan) });
    return;
  }
  const { before, after, unresolved } = plan;
  for (const one of unresolved) context.progress.note('WARN', explainUnresolved(one));
  const why = explainNothingBetter(plan.nothingBetter);
  if (plan.plan.length === 0) {
    context.print(`Nothing to do, with a score of ${figure(before.score)}: ${why}.`);
    return;
  }
  const right = (title: string) => ({ title, align: 'right' as const });
  const columns = [
    right('STEP'),
    { title: 'VM' },
    { title: 'FROM' },
    { title: 'TO' },
    right('MEMORY MIB'),
    right('CPU %'),
    right('SCORE'),
    { title: 'WHY' },
  ];
  const rows = plan.plan.map((step, index) => [
    index + 1,
    step.vm,
    step.source,
    step.destination,
    step.memoryMib,
    figure(step.cpuPercent),
    figure(step.scoreAfter),
    step.why.map(explainReason).join('; '),
  ]);
  context.table(columns, rows);
  const spread = `memory ${figure(before.memoryPercent)} to ${figure(after.memoryPercent)} %, CPU ${figure(before.cpuPercent)} to ${figure(after.cpuPercent)} %`;
  context.print(
    `Score ${figure(before.score)} to ${figure(after.score)} (${spread}): gain ${figure(plan.gainPercent)} %.`,
  );
  context.print(`Why nothing better: ${why}.`);
  if (onlyShown) context.print('Nothing was done.');
}

function figure(value: number): string {
  return value.toFixed(1);
}

function planJson(plan: BalancePlan): object {
  const { before, after, gainPercent, movedMib, nothingBetter, unresolved } = plan;
  return { steps: plan.plan, before, after, gainPercent, movedMib, nothingBetter, unresolved };
}
