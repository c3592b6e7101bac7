/** Small clusters for property tests: nearly full ones, equal VMs and rules occur often, because that is where plans fail. */
import fc from 'fast-check';
import type { BalanceRules, ClusterState } from '../../src/balance/state.ts';

export interface ArbitraryOptions {
  readonly maxNodes: number;
  readonly maxVms: number;
  /** Nodes that aren't ready or don't accept VMs, VMs that run nowhere. */
  readonly odd?: boolean;
}

export function arbitraryCluster({ maxNodes, maxVms, odd = false }: ArbitraryOptions): fc.Arbitrary<ClusterState> {
  const memory = fc.oneof(fc.constantFrom(512, 1024, 2048, 4096), fc.integer({ min: 0, max: 6000 }));
  const cpu = fc.oneof(
    fc.constantFrom(0, 50, 100),
    fc.integer({ min: 0, max: 400_000 }).map((value) => value / 1000),
  );
  const vm = fc.record({ memory, cpu, node: fc.nat({ max: maxNodes - 1 }), nowhere: fc.nat({ max: 9 }) });
  return fc
    .record({
      nodes: fc.array(
        fc.record({ spare: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 9000 })), state: fc.nat({ max: 19 }) }),
        { minLength: 1, maxLength: maxNodes },
      ),
      vms: fc.array(vm, { maxLength: maxVms }),
    })
    .map(({ nodes, vms }) => {
      const names = nodes.map((_, at) => `n${at}`);
      const placed = vms.map((one, at) => ({
        name: `v${at}`,
        node: odd && one.nowhere === 0 ? undefined : names[one.node % names.length],
        memoryMib: one.memory,
        cpuPercent: one.cpu,
      }));
      const used = (name: string): number =>
        placed.reduce((sum, { node, memoryMib }) => sum + (node === name ? memoryMib : 0), 0);
      return {
        nodes: nodes.map(({ spare, state }, at) => ({
          name: names[at] ?? '',
          memoryMib: used(names[at] ?? '') + spare,
          cpus: 8,
          ready: !odd || state !== 0,
          accepting: !odd || state > 2,
        })),
        vms: placed,
      };
    });
}

/** A cluster with rules that don't contradict each other. */
export function arbitraryRuled(options: ArbitraryOptions): fc.Arbitrary<{ state: ClusterState; rules: BalanceRules }> {
  return arbitraryCluster(options).chain((state) => {
    const vms = state.vms.map(({ name }) => name);
    const nodes = state.nodes.map(({ name }) => name);
    const some = (names: readonly string[], max: number): fc.Arbitrary<string[]> =>
      fc.subarray([...names], { maxLength: Math.min(max, names.length) });
    const pin = fc.record({ vm: fc.constantFrom('', ...vms), nodes: some(nodes, nodes.length) });
    return fc
      .record({
        pinned: fc.uniqueArray(pin, { maxLength: 2, selector: ({ vm }) => vm }),
        ignored: some(vms, 2),
        apart: some(vms, 3),
        together: some(vms, 3),
        empty: some(nodes, 1),
      })
      .map(({ pinned, ignored, apart, together, empty }) => ({
        state,
        rules: {
          pinned: pinned.filter((one) => one.vm !== '' && one.nodes.length > 0),
          ignored,
          apart: [apart],
          together: [together.filter((name) => !apart.includes(name))],
          empty,
        },
      }));
  });
}

/** The same cluster with everything in another order. */
export function shuffled(state: ClusterState): fc.Arbitrary<ClusterState> {
  const order = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
    fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length });
  return fc.record({ nodes: order(state.nodes), vms: order(state.vms) });
}
