/** Where the VMs of a lost node are placed: by their homes, the room, their importance, and the administrator's rules. */
import { describe, expect, test } from 'vitest';
import type { ClusterState } from '../../src/balance/state.ts';
import type { VmDefinition } from '../../src/cluster/definition.ts';
import { withNewVms } from '../../src/cluster/balancing.ts';
import { pinsFor, place, type PlaceFacts } from '../../src/cxmd/places.ts';

const names = ['alpha', 'beta', 'gamma'];
const homes = [{ vm: 'db', nodes: ['alpha', 'beta', 'delta'] }];

test('a VM that can be everywhere is not pinned, one with homes is pinned to those that are left', () => {
  expect(pinsFor(['web', 'db'], { names, homes, failed: [] })).toEqual([{ vm: 'db', nodes: ['alpha', 'beta'] }]);
});

test('a node where a VM was tried in vain is left out for that VM only', () => {
  const failed = [{ vm: 'web', node: 'beta' }];
  expect(pinsFor(['web', 'mail'], { names, homes, failed })).toEqual([{ vm: 'web', nodes: ['alpha', 'gamma'] }]);
});

test('when it was tried in vain wherever it can be, it may be tried there again', () => {
  const failed = ['alpha', 'beta', 'gamma'].flatMap((node) => ['web', 'db'].map((vm) => ({ vm, node })));
  expect(pinsFor(['web', 'db'], { names, homes, failed })).toEqual([{ vm: 'db', nodes: ['alpha', 'beta'] }]);
  expect(pinsFor(['web'], { names: ['alpha'], homes: [], failed })).toEqual([]);
});

test('a VM of which no home is left is pinned to no node', () => {
  expect(pinsFor(['db'], { names: ['gamma'], homes, failed: [] })).toEqual([{ vm: 'db', nodes: [] }]);
});

describe('the rules of cxm.conf', () => {
  const sizes = { ns1: 1, ns2: 1, big: 6 };

  /** Where each VM is placed, by name, on nodes with so much room. */
  function placed(memory: Readonly<Record<string, number>>, change: Partial<PlaceFacts>): Record<string, string> {
    const nodes = Object.entries(memory).map(([name, memoryMib]) => ({
      ...{ name, memoryMib, cpus: 8, ready: true, accepting: true },
    }));
    const definitions = Object.entries(sizes).map(([vm, memoryMib]) => ({ vm, memoryMib }) as VmDefinition);
    const state: ClusterState = withNewVms({ nodes, vms: [] }, definitions);
    const facts = { names: Object.keys(memory), homes: [], failed: [], first: [], rules: {}, ...change };
    const { placements, left } = place(state, definitions, facts);
    expect([...placements, ...left].map(({ vm }) => vm).sort()).toEqual(Object.keys(sizes).sort());
    return Object.fromEntries(placements.map(({ vm, node }) => [vm, node]));
  }

  test('are kept when all VMs have a place by them', () => {
    expect(placed({ alpha: 8, beta: 9 }, {})).toEqual({ big: 'alpha', ns1: 'alpha', ns2: 'alpha' });
    const apart = placed({ alpha: 8, beta: 9 }, { rules: { apart: [['ns1', 'ns2']] } });
    expect(new Set([apart['ns1'], apart['ns2']]).size).toBe(2);
    const away = { rules: { empty: ['alpha'], pinned: [{ vm: 'big', nodes: ['beta', 'gone'] }] } };
    expect(placed({ alpha: 8, beta: 9 }, away)).toEqual({ big: 'beta', ns1: 'beta', ns2: 'beta' });
  });

  test('keep no VM down: not of two that are apart, and not one that is pinned to a node that is gone', () => {
    expect(placed({ alpha: 8 }, { rules: { apart: [['ns1', 'ns2']] } })).toEqual({
      ...{ big: 'alpha', ns1: 'alpha', ns2: 'alpha' },
    });
    const pinned = [{ vm: 'big', nodes: ['gone'] }];
    expect(placed({ alpha: 8 }, { rules: { pinned } })).toMatchObject({ big: 'alpha' });
  });

  test('keep no VM from the nodes that can have it: pinned where it can not be, or where it was tried in vain', () => {
    const rules = { pinned: [{ vm: 'ns1', nodes: ['alpha', 'beta'] }] };
    const memory = { alpha: 8, beta: 9, gamma: 9 };
    expect(placed(memory, { rules, homes: [{ vm: 'ns1', nodes: ['gamma'] }] })).toMatchObject({ ns1: 'gamma' });
    const failed = [{ vm: 'ns1', node: 'alpha' }];
    expect(placed({ alpha: 8, gamma: 9 }, { rules, failed })).toMatchObject({ ns1: 'gamma' });
  });

  test('are kept by the others when a VM has no place with them or without', () => {
    const apart = placed({ alpha: 2, beta: 2 }, { rules: { apart: [['ns1', 'ns2']] } });
    expect(apart).not.toHaveProperty('big');
    expect(new Set([apart['ns1'], apart['ns2']]).size).toBe(2);
  });

  test('are not more than what is possible: a VM without a home is not placed, and an important one comes first', () => {
    const homes = [{ vm: 'big', nodes: ['gone'] }];
    expect(placed({ alpha: 8 }, { homes })).not.toHaveProperty('big');
    expect(placed({ alpha: 6 }, {})).toEqual({ big: 'alpha' });
    expect(placed({ alpha: 6 }, { first: ['ns2'] })).toEqual({ ns1: 'alpha', ns2: 'alpha' });
  });
});
