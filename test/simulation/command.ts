/**
 *     npm run simulate -- --seed N --hours H [--seeds COUNT] [--nodes N] [--jobs N] [--seconds LIMIT] [--trace]
 *     npm run simulate -- --plan FILE             a plan that an earlier run has printed, with its trace
 *     npm run simulate:long                       20,000 seeds of 5 hours, on all cores
 *
 * Runs the cluster of one seed, or of COUNT seeds from N on, H simulated hours each, as many at once as there are cores, and
 * says each minute how far it came. The lowest seed that breaks a guarantee is run again with fewer and fewer faults and
 * nodes while it still breaks it, and its trace is printed. Exit status 1 then.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runSeeds } from './jobs.ts';
import { makePlan, type Plan } from './plan.ts';
import { runPlan } from './run.ts';
import { shrink, sizeOf } from './shrink.ts';
import { addOutcome, noFigures, tell } from './summary.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    hours: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '1' },
    nodes: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    seconds: { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
    plan: { type: 'string' },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Of a plan from a file, or of one seed: as it happens. */
function show(plan: Plan): void {
  const startMs = performance.now();
  const outcome = runPlan(plan, values.trace || values.plan !== undefined ? { trace: say } : {});
  say(tell(addOutcome(noFigures(), outcome), (performance.now() - startMs) / 1000));
  if (outcome.violation === undefined) return;
  process.exitCode = 1;
  if (values.plan === undefined) fail(plan, outcome.violation.guarantee, outcome.violation.message);
  else say(outcome.violation.message);
}

function fail(plan: Plan, guarantee: string, message: string): void {
  process.exitCode = 1;
  say(`seed ${String(plan.seed)}: ${message}`);
  say(`from ${sizeOf(plan)}`);
  const smaller = shrink(plan, guarantee);
  runPlan(smaller, { trace: say });
  say(`to ${sizeOf(smaller)}; to see it again: npm run simulate -- --plan FILE, with this in FILE:`);
  say(JSON.stringify(smaller));
}

async function runMany(): Promise<void> {
  const first = Number(values.seed);
  const limitMs = Number(values.seconds) * 1000;
  const startMs = performance.now();
  const order = { hours: Number(values.hours), ...(values.nodes === undefined ? {} : { nodes: Number(values.nodes) }) };
  const seconds = (): number => (performance.now() - startMs) / 1000;
  let figures = noFigures();
  let toldAt = 0;
  const broken = await runSeeds({
    order,
    first,
    count: Number(values.seeds),
    jobs: Number(values.jobs),
    isOver: () => limitMs > 0 && seconds() * 1000 > limitMs,
    ended: (outcome) => {
      figures = addOutcome(figures, outcome);
      if (seconds() - toldAt < 60) return;
      toldAt = seconds();
      say(tell(figures, toldAt));
    },
  });
  say(tell(figures, seconds()));
  if (broken === undefined) return;
  fail(makePlan(broken.seed, order.hours, order.nodes), broken.guarantee, broken.message);
}

if (values.plan !== undefined) show(JSON.parse(readFileSync(values.plan, 'utf8')) as Plan);
else if (Number(values.seeds) === 1) {
  show(
    makePlan(Number(values.seed), Number(values.hours), values.nodes === undefined ? undefined : Number(values.nodes)),
  );
} else await runMany();
