/** A process that runs seeds: one for each message, answered when it has ended. Ends when nobody asks any more. */
import { runSeed, type SeedQuestion } from './jobs.ts';

process.on('message', ({ seed, order }: SeedQuestion) => {
  process.send?.(runSeed(seed, order));
});
