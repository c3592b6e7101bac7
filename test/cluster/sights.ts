/** Looks at nodes, made by hand for the tests of what decides on them. */
import type { NodeSight } from '../../src/cluster/survey.ts';
import type { GroupedVolume } from '../../src/lvm/report.ts';
import type { DomainRow } from '../../src/xen/domain-list.ts';

const nothing = { running: false, blocked: false, paused: false, shutdown: undefined, dying: false };

export function row(
  id: number,
  name: string | undefined,
  state: Partial<DomainRow['state']> = { blocked: true },
): DomainRow {
  return { id, name, memoryMib: 100, vcpus: 1, state: { ...nothing, ...state }, cpuSeconds: 1 };
}

export const rowOfKind = {
  running: (id: number, vm: string) => row(id, vm),
  paused: (id: number, vm: string) => row(id, vm, { paused: true }),
  building: (id: number, vm: string) => ({ ...row(id, vm, { paused: true }), memoryMib: 0, vcpus: 0, cpuSeconds: 0 }),
  incoming: (id: number, vm: string) => row(id, `${vm}--incoming`, { paused: true }),
  suspended: (id: number, vm: string) => row(id, vm, { shutdown: 'suspend' }),
  away: (id: number, vm: string) => row(id, `${vm}--migratedaway`, { shutdown: 'suspend' }),
  shutDown: (id: number, vm: string) => row(id, vm, { shutdown: 'reboot' }),
  dying: (id: number, vm: string) => row(id, vm, { shutdown: 'powerOff', dying: true }),
} as const;

export function volume(name: string, state: Partial<GroupedVolume> = {}): GroupedVolume {
  const path = `/dev/san/${name}`;
  const plain = { active: false, open: false, sizeBytes: 1, tags: [], origin: '' };
  return { group: 'san', name, uuid: `uuid-${name}`, path, ...plain, ...state };
}

export function sight(node: string, parts: Partial<NodeSight> = {}, freeMemoryMib = 1000): NodeSight {
  const info = { host: node, cpus: 1, cpuMhz: 1, totalMemoryMib: 2000, freeMemoryMib, xenVersion: '', cpuFeatures: '' };
  return {
    node,
    info: { ...info, simulated: true, fields: {} },
    rows: [row(0, 'Domain-0')],
    groups: [{ name: 'san', uuid: 'san', sizeBytes: 0, freeBytes: 0, extentBytes: 0, lockType: '' }],
    volumes: [],
    links: new Map(),
    bridges: ['br0'],
    cpuFlags: ['fpu'],
    ...parts,
  };
}
