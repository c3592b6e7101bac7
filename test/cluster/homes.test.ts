/** Where VMs can be, by what the nodes say. */
import { describe, expect, it } from 'vitest';
import type { CheckedNode } from '../../src/cluster/check.ts';
import { homesOf } from '../../src/cluster/homes.ts';
import type { NodeSight } from '../../src/cluster/survey.ts';
import { parseHostInfo, type DomainRow } from '../../src/xen/domain-list.ts';

const info = parseHostInfo('host: x\nnr_cpus: 4\ncpu_mhz: 2000\ntotal_memory: 8192\nfree_memory: 4096\n');
const vm = 'shop.example.org';
const text = `name = '${vm}'\ndisk = ['phy:/dev/VG0/shop,xvda,w']\nvif = ['bridge=br0']\n`;
const row: DomainRow = {
  id: 1,
  name: vm,
  memoryMib: 512,
  vcpus: 1,
  state: { running: false, blocked: true, paused: false, shutdown: undefined, dying: false },
  cpuSeconds: 1,
};

interface Difference {
  readonly runs?: boolean;
  readonly uuid?: string;
  readonly bridges?: readonly string[];
  readonly cpuFlags?: readonly string[];
  readonly config?: boolean;
  /** Somebody reads the volume through a snapshot. */
  readonly read?: boolean;
}

function node(
  name: string,
  { runs, uuid = 'u', bridges = ['br0'], cpuFlags = ['fpu', 'sse'], config, read }: Difference = {},
) {
  const volume = {
    group: 'VG0',
    name: 'shop',
    uuid,
    sizeBytes: 1,
    tags: [],
    active: false,
    open: false,
    path: '',
    origin: '',
  };
  const sight: NodeSight = {
    node: name,
    info,
    rows: runs === true ? [row] : [],
    groups: [],
    volumes: read === true ? [volume, { ...volume, name: 'shop_reading', origin: 'shop' }] : [volume],
    links: new Map(),
    bridges,
    cpuFlags,
  };
  const configs = config === false ? [] : [{ vm, path: `/etc/xen/vm/${vm}`, text }];
  return { sight, configs } satisfies CheckedNode;
}

describe('the homes of a VM', () => {
  it('are the node it runs on while its volume has a snapshot', () => {
    const nodes = (runs: boolean) => [node('a', { runs, read: true }), node('b', { read: true })];
    expect(homesOf(nodes(true))).toEqual([{ vm, nodes: ['a'] }]);
    expect(homesOf(nodes(false))).toEqual([]);
  });

  it('are no rule when it can be everywhere', () => {
    expect(homesOf([node('a', { runs: true }), node('b'), node('c')])).toEqual([]);
  });

  it.each<[string, Difference]>([
    ['has another volume of that name', { uuid: 'other' }],
    ['lacks the bridge', { bridges: [] }],
    ['lacks a feature of the CPU', { cpuFlags: ['fpu'] }],
    ['has no configuration of it', { config: false }],
  ])('leave out a node that %s', (_, difference) => {
    expect(homesOf([node('a', { runs: true }), node('b'), node('c', difference)])).toEqual([{ vm, nodes: ['a', 'b'] }]);
  });

  it('always include the node where it runs, so that nobody moves it for that', () => {
    expect(homesOf([node('a', { runs: true, config: false }), node('b', { uuid: 'other' })])).toEqual([
      { vm, nodes: ['a'] },
    ]);
  });

  it('do not depend on features of CPUs before it runs', () => {
    expect(homesOf([node('a'), node('b', { cpuFlags: [] }), node('c', { config: false })])).toEqual([
      { vm, nodes: ['a', 'b'] },
    ]);
  });
});
