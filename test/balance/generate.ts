/** Clusters from a seed: the same one for the same seed on every machine, for tests and benchmarks. */
import type { BalanceVm, ClusterState } from '../../src/balance/state.ts';

/** Numbers from 0 to below 1; a small generator of 32 bits of state (Weyl sequence through an integer hash). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let bits = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 4_294_967_296;
  };
}

export interface ClusterShape {
  readonly nodes: number;
  readonly vms: number;
  /** How VMs were put on nodes: anywhere, mostly on the first ones, or all nodes but one full. */
  readonly placing: 'random' | 'skewed' | 'new-node';
  /** RAM of the VMs in percent of that of the nodes. */
  readonly fillPercent: number;
  /** Do all VMs have one of a few sizes, as in practice, or any? */
  readonly sizes: 'few' | 'any';
}

const memorySizes = [512, 1024, 1024, 2048, 2048, 4096, 8192] as const;

/** A state that keeps every node's memory. */
export function makeCluster(seed: number, shape: ClusterShape): ClusterState {
  const random = randomFrom(seed);
  const whole = (limit: number): number => Math.floor(random() * limit);
  const sizes = Array.from({ length: shape.vms }, () =>
    shape.sizes === 'few' ? (memorySizes[whole(memorySizes.length)] ?? 1024) : 256 + whole(8000),
  );
  const needed = sizes.reduce((sum, size) => sum + size, 0);
  const capacity = Math.ceil(Math.max((needed * 100) / shape.fillPercent / shape.nodes, Math.max(0, ...sizes)));
  const nodes = Array.from({ length: shape.nodes }, (_, at) => ({
    name: `node${String(at + 1).padStart(3, '0')}`,
    memoryMib: capacity,
    cpus: 16,
    ready: true,
    accepting: true,
  }));
  const used = nodes.map(() => 0);
  const vms = sizes.flatMap((memoryMib, at): BalanceVm[] => {
    const cpuPercent = Math.round(random() ** 3 * 2000) / 10;
    const choice = wish(shape, random);
    const order = nodes.map((_, step) => (choice + step) % nodes.length);
    const node = order.find((one) => (used[one] ?? 0) + memoryMib <= capacity);
    if (node === undefined) return [];
    used[node] = (used[node] ?? 0) + memoryMib;
    return [{ name: `vm${String(at + 1).padStart(5, '0')}`, node: nodes[node]?.name, memoryMib, cpuPercent }];
  });
  return { nodes, vms };
}

function wish({ nodes, placing }: ClusterShape, random: () => number): number {
  switch (placing) {
    case 'random':
      return Math.floor(random() * nodes);
    case 'skewed':
      return Math.floor(random() ** 2 * nodes);
    case 'new-node':
      return Math.floor(random() * Math.max(1, nodes - 1));
  }
}
