/**
 * The benchmark command, `npm run bench -- transfer|balance|ha|ha-load`: see the file of each for its words. Its exit code is 1
 * when `--check` has found that a target is missed, and 2 when nothing could be measured.
 */
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { balanceUsage, benchBalance } from './balance.ts';
import { benchLoad, loadUsage } from './ha-load.ts';
import { benchHa, haUsage } from './ha.ts';
import { usage } from './options.ts';
import { say } from './say.ts';
import type { Machine } from './table.ts';
import { benchTransfer } from './transfer-command.ts';

/** @returns false when a target is missed and that was to be checked */
type Benchmark = (words: readonly string[], machine: Machine) => boolean | Promise<boolean>;

const benchmarks: ReadonlyMap<string | undefined, Benchmark> = new Map<string, Benchmark>([
  ['transfer', benchTransfer],
  ['balance', benchBalance],
  ['ha', benchHa],
  ['ha-load', benchLoad],
]);

/** As it is before anything is measured. */
function machine(): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release().replace(/^(\d+\.\d+).*/, '$1'),
    node: process.version,
    loadBefore: loadavg()[0] ?? Number.NaN,
    date: new Date().toISOString().slice(0, 10),
  };
}

try {
  const [name, ...words] = process.argv.slice(2);
  const benchmark = benchmarks.get(name);
  if (benchmark === undefined) throw new Error([usage, balanceUsage, haUsage, loadUsage].join('\n'));
  if (!(await benchmark(words, machine()))) process.exitCode = 1;
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
