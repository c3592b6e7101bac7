/**
 * Finding zeros in memory. Pure; as fast as memory, because comparing is left to Buffer.
 */

/** Zeros are looked for in pieces of this size: an extent begins and ends at such a multiple of its block. */
export const zeroGrainBytes = 64 * 1024;

const zeroGrain = Buffer.alloc(zeroGrainBytes);

export interface Run {
  readonly start: number;
  readonly end: number;
}

export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += zeroGrainBytes) {
    const piece = bytes.subarray(at, at + zeroGrainBytes);
    if (Buffer.compare(piece, zeroGrain.subarray(0, piece.length)) !== 0) return false;
  }
  return true;
}

/** The parts of a block that are not zero, adjacent pieces joined, in order. */
export function nonZeroRuns(block: Uint8Array): Run[] {
  const runs: Run[] = [];
  let start = -1;
  for (let at = 0; at < block.length; at += zeroGrainBytes) {
    const zero = isZero(block.subarray(at, at + zeroGrainBytes));
    if (!zero && start < 0) start = at;
    if (zero && start >= 0) {
      runs.push({ start, end: at });
      start = -1;
    }
  }
  if (start >= 0) runs.push({ start, end: block.length });
  return runs;
}
