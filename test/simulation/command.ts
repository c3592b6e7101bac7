/**
 *     npm run simulate -- --seed N --hours H [--seeds COUNT] [--seconds LIMIT] [--trace]
 *     npm run simulate:long                       20,000 seeds of 5 hours, an hour of one core or more
 *
 * Runs the cluster of one seed, or of COUNT seeds from N on, H simulated hours each, and says each minute how far it came.
 * A seed that breaks a guarantee is run again with fewer and fewer faults while it still breaks it, and its trace is
 * printed. Exit status 1 then.
 */
import { parseArgs } from 'node:util';
import { makePlan } from './plan.ts';
import { runPlan } from './run.ts';
import { shrink } from './shrink.ts';
import { addOutcome, noFigures, tell } from './summary.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    hours: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '0' },
    trace: { type: 'boolean', default: false },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const first = Number(values.seed);
const hours = Number(values.hours);
const limitMs = Number(values.seconds) * 1000;
const startMs = performance.now();
let figures = noFigures();
let toldMs = startMs;
for (let seed = first; seed < first + Number(values.seeds); seed += 1) {
  if (limitMs > 0 && performance.now() - startMs > limitMs) break;
  const plan = makePlan(seed, hours);
  const outcome = runPlan(plan, values.trace ? { trace: say } : {});
  figures = addOutcome(figures, outcome);
  if (performance.now() - toldMs > 60_000) {
    toldMs = performance.now();
    say(tell(figures, (toldMs - startMs) / 1000));
  }
  if (outcome.violation === undefined) continue;
  say(`seed ${String(seed)}: ${outcome.violation.message}`);
  const smaller = shrink(plan, outcome.violation.guarantee);
  runPlan(smaller, { trace: say });
  say(JSON.stringify(smaller));
  process.exitCode = 1;
  break;
}
say(tell(figures, (performance.now() - startMs) / 1000));
