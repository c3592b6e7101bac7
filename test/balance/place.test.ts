import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explainLeftOver } from '../../src/balance/explain.ts';
import { planEject, planPlacement } from '../../src/balance/place.ts';
import { nodeFailures } from '../../src/balance/redundancy.ts';
import type { BalanceVm, ClusterState } from '../../src/balance/state.ts';
import { arbitraryCluster, shuffled } from './arbitrary.ts';
import { mayGo, placesOf } from './exhaustive.ts';

function cluster(nodes: Record<string, number>, vms: Record<string, [string | undefined, number]>): ClusterState {
  return {
    nodes: Object.entries(nodes).map(([name, memoryMib]) => ({
      name,
      memoryMib,
      cpus: 8,
      ready: true,
      accepting: true,
    })),
    vms: Object.entries(vms).map(([name, [node, memoryMib]]) => ({ name, node, memoryMib, cpuPercent: 0 })),
  };
}

const big = Number.MAX_SAFE_INTEGER;

/** Best-fit decreasing as the specification says it, on plain maps. */
function bestFit(
  state: ClusterState,
  vms: readonly BalanceVm[],
  except: readonly string[],
): Map<string, string | undefined> {
  const free = new Map(
    state.nodes
      .filter(({ name }) => !except.includes(name))
      .map(({ name, memoryMib }) => {
        const used = state.vms.filter(({ node }) => node === name).reduce((sum, vm) => sum + vm.memoryMib, 0);
        return [name, memoryMib - used] as const;
      }),
  );
  const sorted = [...vms].sort((a, b) => b.memoryMib - a.memoryMib || (a.name < b.name ? -1 : 1));
  return new Map(
    sorted.map(({ name, memoryMib }) => {
      const fitting = [...free].filter(([, room]) => room >= memoryMib);
      const [node] = fitting.sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))[0] ?? [];
      if (node !== undefined) free.set(node, (free.get(node) ?? 0) - memoryMib);
      return [name, node];
    }),
  );
}

/** Is there any assignment of these VMs, the others staying? */
function assignable(state: ClusterState, vms: readonly BalanceVm[], except: readonly string[]): boolean {
  const places = placesOf(state);
  for (const { name } of vms) places.delete(name);
  const go = ([vm, ...rest]: readonly BalanceVm[]): boolean => {
    if (vm === undefined) return true;
    return state.nodes.some(({ name }) => {
      if (except.includes(name) || !mayGo(state, {}, big, places, vm.name, name)) return false;
      places.set(vm.name, name);
      const found = go(rest);
      places.delete(vm.name);
      return found;
    });
  };
  return go(vms);
}

describe('emptying a node', () => {
  test('is best-fit decreasing wherever that leaves nothing over', () => {
    fc.assert(
      fc.property(arbitraryCluster({ maxNodes: 5, maxVms: 14 }), (state) => {
        const own = state.vms.filter(({ node }) => node === 'n0');
        const expected = bestFit(state, own, ['n0']);
        if ([...expected.values()].includes(undefined)) return;
        const { plan, left, method } = planEject(state, ['n0']);
        expect(plan.map(({ vm, destination }) => [vm, destination])).toEqual([...expected]);
        expect([left, method]).toEqual([[], 'first']);
      }),
      { numRuns: 300 },
    );
  });

  test('keeps limits at each step, and every VM is either moved or left over', () => {
    fc.assert(
      fc.property(
        arbitraryCluster({ maxNodes: 4, maxVms: 12 }),
        fc.integer({ min: 1, max: 9 }),
        (state, maxVmsPerNode) => {
          const { plan, left } = planEject(state, ['n0'], { maxVmsPerNode });
          const places = placesOf(state);
          for (const { vm, source, destination } of plan) {
            expect(places.get(vm)).toBe(source);
            expect(mayGo(state, {}, maxVmsPerNode, places, vm, destination)).toBe(true);
            places.set(vm, destination);
          }
          const still = state.vms.filter(({ name }) => places.get(name) === 'n0').map(({ name }) => name);
          expect(left.map(({ vm }) => vm).sort()).toEqual(still.sort());
        },
      ),
      { numRuns: 300 },
    );
  });

  test('leaves nothing over where any assignment takes all, and is certain only where none does', () => {
    fc.assert(
      fc.property(arbitraryCluster({ maxNodes: 4, maxVms: 8 }), (state) => {
        const own = state.vms.filter(({ node }) => node === 'n0');
        const possible = assignable(state, own, ['n0']);
        const { left, certain } = planEject(state, ['n0'], { mayDisplace: false });
        expect(left.length === 0).toBe(possible);
        expect(certain).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('is the same whatever the order of nodes and VMs', () => {
    const pair = arbitraryCluster({ maxNodes: 4, maxVms: 12 }).chain((state) =>
      fc.tuple(fc.constant(state), shuffled(state)),
    );
    fc.assert(
      fc.property(pair, ([state, other]) => {
        expect(planEject(other, ['n0'])).toEqual(planEject(state, ['n0']));
      }),
      { numRuns: 100 },
    );
  });

  test('another assignment is found where best-fit fails', () => {
    // Best-fit puts 5 on b, 4 and 3 on c, and the other 3 nowhere; 4 and 3 on b leave room for 5 and 3 on c.
    const state = cluster({ a: 20, b: 7, c: 8 }, { v1: ['a', 4], v2: ['a', 3], v3: ['a', 5], v4: ['a', 3] });
    const { plan, left, method } = planEject(state, ['a']);
    expect([left, method]).toEqual([[], 'reassigned']);
    expect(plan).toHaveLength(4);
  });

  test('VMs of other nodes make room where there is no other way, and only if they may', () => {
    const state = cluster({ a: 10, b: 10, c: 10 }, { big: ['a', 8], x: ['b', 4], y: ['c', 4] });
    const { plan, left, method } = planEject(state, ['a']);
    expect([left, method]).toEqual([[], 'displaced']);
    expect(plan.map(({ vm, destination }) => `${vm} ${destination}`)).toEqual(['x c', 'big b']);
    expect(plan[0]?.why).toContainEqual({ kind: 'makes-room', vm: 'big' });
    const rigid = planEject(state, ['a'], { mayDisplace: false });
    expect([rigid.plan, rigid.left.map(({ vm }) => vm), rigid.certain]).toEqual([[], ['big'], true]);
  });

  test('goes on after a VM that fits nowhere and says what stands in its way', () => {
    const state = cluster({ a: 99, b: 10, c: 10 }, { huge: ['a', 50], v: ['a', 5] });
    const { plan, left, certain } = planEject(state, ['a'], { rules: { pinned: [{ vm: 'huge', nodes: ['a', 'c'] }] } });
    expect(plan.map(({ vm }) => vm)).toEqual(['v']);
    expect(left).toEqual([{ vm: 'huge', memoryMib: 50, obstacles: { b: 'pin', c: 'memory' } }]);
    expect(certain).toBe(true);
    expect(explainLeftOver(left[0] ?? { vm: '', memoryMib: 0, obstacles: {} })).toContain(
      'c: the node has too little free RAM',
    );
  });

  test('several nodes are emptied at once, and none of them gets a VM', () => {
    const state = cluster({ a: 9, b: 9, c: 99 }, { v: ['a', 5], w: ['b', 2] });
    expect(planEject(state, ['a', 'b']).plan.map(({ destination }) => destination)).toEqual(['c', 'c']);
  });

  test('ignored VMs stay, and nodes that are unknown or away are refused', () => {
    const state = cluster({ a: 9, b: 9 }, { v: ['a', 5] });
    expect(planEject(state, ['a'], { rules: { ignored: ['v'] } }).left[0]?.obstacles).toEqual({
      b: 'fixed',
    });
    expect(() => planEject(state, ['x'])).toThrow('there is no node "x"');
    const away = { ...state, nodes: state.nodes.map((node) => ({ ...node, ready: false })) };
    expect(() => planEject(away, ['a'])).toThrow("node a isn't ready");
  });
});

describe('placing VMs', () => {
  test('is best-fit decreasing by memory, on nodes that accept', () => {
    const state = cluster(
      { a: 10, b: 6, c: 99 },
      { v1: [undefined, 5], v2: [undefined, 6], v3: ['a', 4], v4: [undefined, 70] },
    );
    const nodes = state.nodes.map((node) => (node.name === 'c' ? { ...node, accepting: false } : node));
    const { starts, left, moves } = planPlacement({ ...state, nodes });
    expect(starts.map(({ vm, destination, freeMib }) => [vm, destination, freeMib])).toEqual([
      ['v2', 'a', 6],
      ['v1', 'b', 6],
    ]);
    expect(left.map(({ vm }) => vm)).toEqual(['v4']);
    expect(moves).toEqual([]);
  });

  test('only those asked for, each started once, running ones moved only if they may', () => {
    const state = cluster({ a: 10, b: 10 }, { new1: [undefined, 8], new2: [undefined, 1], x: ['a', 4], y: ['b', 4] });
    expect(planPlacement(state, ['new2']).starts.map(({ vm }) => vm)).toEqual(['new2']);
    expect(planPlacement(state, ['new1']).left.map(({ vm }) => vm)).toEqual(['new1']);
    const { starts, moves } = planPlacement(state, undefined, { mayDisplace: true });
    expect(moves).toHaveLength(1);
    expect(starts.map(({ vm }) => vm)).toEqual(['new1', 'new2']);
    expect(() => planPlacement(state, ['x', 'none'])).toThrow('there is no VM "none"');
  });

  test('another assignment is found where best-fit leaves a VM over, unless only a few may be tried', () => {
    const vms: Parameters<typeof cluster>[1] = {
      w: [undefined, 4],
      x: [undefined, 3],
      y: [undefined, 3],
      z: [undefined, 3],
    };
    const state = cluster({ a: 7, b: 6 }, vms);
    expect(planPlacement(state)).toMatchObject({ method: 'reassigned', left: [] });
    expect(planPlacement(state, undefined, { mostTries: 2 })).toMatchObject({
      certain: false,
      left: [{ memoryMib: 3 }],
    });
  });

  test('the most important ones get the room if it is short, in their order, and nothing changes if it is not', () => {
    const vms: Parameters<typeof cluster>[1] = { big: [undefined, 9], dns: [undefined, 3], ldap: [undefined, 4] };
    const first = ['dns', 'ldap', 'elsewhere'];
    const startsOn = (memory: Record<string, number>, some?: readonly string[]): readonly string[] =>
      planPlacement(cluster(memory, vms), undefined, some === undefined ? {} : { first: some }).starts.map(
        ({ vm }) => vm,
      );
    expect(startsOn({ a: 10 })).toEqual(['big']);
    expect(startsOn({ a: 10 }, first)).toEqual(['ldap', 'dns']);
    expect(startsOn({ a: 6 }, first)).toEqual(['dns']);
    expect(startsOn({ a: 6 }, ['ldap', 'dns'])).toEqual(['ldap']);
    expect(startsOn({ a: 10, b: 7 }, first)).toEqual(['big', 'ldap', 'dns']);
  });

  test('groups apart are started on different nodes, groups together on one', () => {
    const state = cluster({ a: 10, b: 10 }, { v: [undefined, 2], w: [undefined, 2] });
    const apart = planPlacement(state, undefined, { rules: { apart: [['v', 'w']] } });
    expect(new Set(apart.starts.map(({ destination }) => destination)).size).toBe(2);
    const together = planPlacement(state, undefined, { rules: { together: [['v', 'w']] } });
    expect(new Set(together.starts.map(({ destination }) => destination)).size).toBe(1);
  });
});

describe('the failure of a node', () => {
  test('leaves a VM that fits on no single node, though the sums would do', () => {
    const state = cluster({ a: 10, b: 10, c: 10 }, { big: ['a', 8], x: ['b', 4], y: ['c', 4] });
    expect(nodeFailures(state)).toEqual([
      { node: 'a', certain: true, left: [{ vm: 'big', memoryMib: 8 }] },
      { node: 'b', certain: true, left: [] },
      { node: 'c', certain: true, left: [] },
    ]);
  });

  test('leaves nothing exactly where an assignment exists', () => {
    fc.assert(
      fc.property(arbitraryCluster({ maxNodes: 4, maxVms: 8 }), (state) => {
        for (const { node, left } of nodeFailures(state)) {
          const own = state.vms.filter((vm) => vm.node === node);
          expect(left.length === 0).toBe(assignable(state, own, [node]));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('leaves all where there is no other', () => {
    expect(nodeFailures(cluster({ a: 10 }, { v: ['a', 1] }))).toMatchObject([{ left: [{ vm: 'v' }] }]);
  });

  test('nodes that are away have no part in it', () => {
    const state = cluster({ a: 10, b: 10, c: 10 }, { v: ['a', 8] });
    const nodes = state.nodes.map((node) => (node.name === 'c' ? { ...node, ready: false } : node));
    expect(nodeFailures({ ...state, nodes }).map(({ node }) => node)).toEqual(['a', 'b']);
  });
});
