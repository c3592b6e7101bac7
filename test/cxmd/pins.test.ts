/** Where VMs of a lost node may be placed: by their homes, and not where they were tried in vain while others are left. */
import { expect, test } from 'vitest';
import { pinsFor } from '../../src/cxmd/cluster-hypervisor.ts';

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
