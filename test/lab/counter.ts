/**
 * The counter that a guest keeps on its disk, so that the disk tells who wrote which number of it.
 *
 * Guarantees: for every number each node has a block of its own, so that no write hides another one: had two nodes written
 * at once, or had a dead one written after its heir has begun, a number would be there twice. Pure.
 */
export const blockBytes = 4096;

/** Nodes that a guest may run on. */
export const writers = ['node1', 'node2'] as const;

export interface Entry {
  readonly number: number;
  /** Where the guest ran when it wrote the number. */
  readonly node: string;
  /** Another one for each boot of the guest; a live migration keeps it. */
  readonly boot: string;
}

/** Numbers that one guest wrote on one node, one after the other. */
export interface Stretch {
  readonly node: string;
  readonly boot: string;
  readonly from: number;
  readonly to: number;
}

/** The first of the blocks of a number; the first number is 1. */
export function firstBlockOf(number: number): number {
  return (number - 1) * writers.length;
}

export function encodeEntry(entry: Entry): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(`${JSON.stringify(entry)}\n`);
  return block;
}

/** @param text a line for each block that was written, in their order */
export function parseEntries(text: string): readonly Entry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Entry);
}

/** What the disk tells, in order. @throws Error naming a number that was written twice, or never */
export function stretchesOf(entries: readonly Entry[]): readonly Stretch[] {
  const stretches: Stretch[] = [];
  entries.forEach(({ number, node, boot }, index) => {
    if (number !== index + 1) {
      const beside = entries.filter((entry) => Math.abs(entry.number - number) < 3);
      throw new Error(`number ${index + 1} was not written once: ${JSON.stringify(beside)}`);
    }
    const last = stretches.at(-1);
    if (last?.node === node && last.boot === boot) stretches[stretches.length - 1] = { ...last, to: number };
    else stretches.push({ node, boot, from: number, to: number });
  });
  return stretches;
}
