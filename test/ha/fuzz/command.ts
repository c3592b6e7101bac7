/**
 *     npm run fuzz -- [--minutes N] [--seed S]
 *
 * Two real cxmd under assault on all ports and the heartbeat disk, round after round, each from a seed of its own that
 * follows from S. Says after each round how things are; exit status 1, with all that was found, at the end of the first round
 * after which something is not as it must be. The same seed gives the same bytes; what happens at once happens as it comes.
 */
import { parseArgs } from 'node:util';
import { nodes, Siege } from './siege.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string', default: '1' } },
});
const minutes = Number(values.minutes);
const firstSeed = Number(values.seed);
if (!(minutes > 0) || !Number.isSafeInteger(firstSeed)) throw new Error('npm run fuzz -- [--minutes N] [--seed S]');

const roundMs = 15_000;
/** Of memory, from the end of the second round on. */
const maxGrowthKib = 24 * 1024;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function run(siege: Siege): Promise<boolean> {
  const endMs = performance.now() + minutes * 60_000;
  let settledKib: Record<string, number> | undefined;
  for (let round = 1; round <= 2 || performance.now() < endMs; round += 1) {
    const seed = firstSeed + round - 1;
    const { findings, residentKib, slowestAnswerMs, refused } = await siege.round(seed, roundMs);
    if (round === 2) settledKib = residentKib;
    const grown = nodes.filter((node) => residentKib[node] - (settledKib?.[node] ?? Infinity) > maxGrowthKib);
    const memory = nodes.map((node) => `${node} ${Math.round(residentKib[node] / 1024)} MiB`).join(', ');
    say(`seed ${seed}: ${memory}; refused ${refused}; slowest answer ${Math.round(slowestAnswerMs)} ms`);
    for (const finding of findings) say(`  ${finding}`);
    for (const node of grown) say(`  ${node} takes more and more memory`);
    if (findings.length + grown.length > 0) return false;
  }
  return true;
}

const siege = new Siege({ number: 81, timerSeconds: 4 });
try {
  await siege.begin();
  if (!(await run(siege))) process.exitCode = 1;
} finally {
  await siege.end();
}
