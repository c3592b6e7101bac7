/** How full nodes and the cluster are, in percent. Pure. */

/** Interrupts a dom0 has for its guests' devices. */
const allIrqs = 1024;

export interface NodeMemory {
  readonly totalMemoryMib: number;
  readonly freeMemoryMib: number;
}

/** The used share of a node's memory, or of its dynamic interrupts if that is greater. */
export function nodeLoadPercent(node: NodeMemory & { readonly dynamicIrqs: number }): number {
  return Math.round(Math.max(percent(used(node), node.totalMemoryMib), percent(node.dynamicIrqs, allIrqs)));
}

/**
 * Used memory by all memory but the largest node's: over 100 that node's failure can't be absorbed. One node alone: 100.
 * Whole, and over 100 whenever the exact figure is.
 */
export function clusterLoadPercent(nodes: readonly NodeMemory[]): number {
  if (nodes.length < 2) return 100;
  const total = nodes.reduce((sum, { totalMemoryMib }) => sum + totalMemoryMib, 0);
  const largest = Math.max(...nodes.map(({ totalMemoryMib }) => totalMemoryMib));
  const sum = nodes.reduce((all, node) => all + used(node), 0);
  const exact = percent(sum, total - largest);
  return exact > 100 ? Math.ceil(exact) : Math.round(exact);
}

function used({ totalMemoryMib, freeMemoryMib }: NodeMemory): number {
  return totalMemoryMib - freeMemoryMib;
}

function percent(part: number, whole: number): number {
  return whole <= 0 ? 100 : (part * 100) / whole;
}
