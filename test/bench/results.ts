/**
 * What a benchmark says: rows of rival and ours side by side, with the ratio and the target it has to meet. Pure; the
 * program inside the lab measures and writes rows as JSON, the one outside prints them.
 */

/** Times in seconds, or numbers of bytes. */
export interface Side {
  readonly label: string;
  /** The median of the samples. */
  readonly value: number;
  /** Every round's value, in the order in which they were taken. */
  readonly samples: readonly number[];
}

export interface Row {
  /** A name for programs, as `tar-time`. */
  readonly id: string;
  readonly part: string;
  readonly what: string;
  readonly unit: 'seconds' | 'bytes';
  readonly rival: Side;
  readonly ours: Side;
  readonly target: Target;
  /** What a reader must know to judge the figure. */
  readonly note?: string;
}

/** `atMost`: ours / rival. `fasterBy`: rival / ours. `none`: shown for comparison. */
export type Target =
  { readonly kind: 'atMost' | 'fasterBy'; readonly ratio: number } | { readonly kind: 'none'; readonly ratio?: never };

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error('no values');
  return (low + high) / 2;
}

export function side(label: string, samples: readonly number[]): Side {
  return { label, value: median(samples), samples };
}

function divide(target: Target, rival: number, ours: number): number {
  return target.kind === 'fasterBy' ? rival / ours : ours / rival;
}

/** Of the medians. */
export function ratioOf({ rival, ours, target }: Row): number {
  return divide(target, rival.value, ours.value);
}

/** The smallest and the largest ratio that a single round had; both sides of a round ran right after each other. */
export function spreadOf({ rival, ours, target }: Row): readonly [lowest: number, highest: number] {
  const ratios = rival.samples.flatMap((value, round) => {
    const own = ours.samples[round];
    return own === undefined ? [] : [divide(target, value, own)];
  });
  return [Math.min(...ratios), Math.max(...ratios)];
}

export function isMet(row: Row): boolean {
  switch (row.target.kind) {
    case 'none':
      return true;
    case 'atMost':
      return ratioOf(row) <= row.target.ratio;
    case 'fasterBy':
      return ratioOf(row) >= row.target.ratio;
  }
}
