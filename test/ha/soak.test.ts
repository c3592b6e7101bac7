/** The short form of the soak: `npm run bench -- ha-load soak --minutes 30` is the long one. */
import { expect, test } from 'vitest';
import { soak } from './soak.ts';

test('three cxmd that lose every fifth packet suspect nobody', { timeout: 240_000 }, async () => {
  const { falseAlarms, sent, lost } = await soak({ number: 82, durationMs: 20_000, lossPercent: 20, seed: 1 });
  expect(falseAlarms).toEqual([]);
  // Six ways, one a second, and hardly one missing.
  expect(sent).toBeGreaterThan(60);
  expect(lost / sent).toBeGreaterThan(0.08);
});
