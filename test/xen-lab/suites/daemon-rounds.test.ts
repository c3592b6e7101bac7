/**
 * Ten rounds of random faults on two nodes under cxmd, each with a guest on the node that is hit. After each round the
 * cluster is whole again, both guests run once, what ran elsewhere was never interrupted, and nothing they had counted is
 * lost. CXM_SEED plays the rounds of a seed again, CXM_ROUNDS makes them more or fewer.
 */
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { NodeName } from '../../lab/layout.ts';
import { describeRound, drawRounds } from '../../support/rounds.ts';
import { other } from '../core.ts';
import { exactlyOnce, mend, prepareDaemons, watchOver, type Fencer } from '../daemons.ts';
import { inflict } from '../faults.ts';
import { LabGuests } from '../lab-guests.ts';

const seed = Number(process.env['CXM_SEED'] ?? Math.floor(Math.random() * 1e6));
const rounds = drawRounds(seed, Number(process.env['CXM_ROUNDS'] ?? 10));
const guests = new LabGuests();
let fencer: Fencer;
let master: NodeName;

beforeAll(async () => {
  process.stderr.write(`CXM_SEED=${seed}\n`);
  fencer = await prepareDaemons();
});

beforeEach(async () => {
  master = await mend();
}, 600_000);

watchOver(guests, () => fencer);

test('two guests run', () => guests.begin());

describe(`rounds of seed ${seed}`, () => {
  test.each(rounds.map((round) => [describeRound(round), round] as const))(
    '%s',
    async (_, round) => {
      const victim = round.role === 'master' ? master : other(master);
      const { here, elsewhere } = await guests.inhabit(victim);
      const before = fencer.fenced.length;
      await inflict(round, victim);
      await mend();
      await exactlyOnce('db', 'web');
      const fenced = fencer.fenced.slice(before);
      expect(fenced.filter((node) => node !== victim)).toEqual([]);
      for (const guest of elsewhere) await guest.witness.goesOn();
      for (const guest of here) {
        if (fenced.length === 0) await guest.witness.goesOn();
        else await guest.witness.lives();
      }
    },
    900_000,
  );
});
