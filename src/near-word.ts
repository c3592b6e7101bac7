/** What somebody may have meant who has mistyped a word: for hints, never to be done without asking. Pure. */

const tolerated = 2;

/** The known word that is nearest, by at most two letters and less than half of it; undefined if there is none. */
export function nearWord(word: string, known: readonly string[]): string | undefined {
  const [nearest] = known
    .map((one) => ({ one, away: distance(one, word.slice(0, 60)) }))
    .filter(({ one, away }) => away <= tolerated && 2 * away < one.length)
    .sort((a, b) => a.away - b.away);
  return nearest?.one;
}

/** Letters to add, remove or change, or neighbours to exchange: the optimal string alignment distance of short words. */
function distance(a: string, b: string): number {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min(change, swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
