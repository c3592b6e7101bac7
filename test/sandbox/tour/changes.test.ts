/** What the tour tells of the hosts, from two looks at them. */
import { describe, expect, it } from 'vitest';
import { changesBetween } from '../../../src/sandbox/tour/changes.ts';
import type { SeenDomain, SeenVolume, World } from '../../../src/sandbox/tour/world.ts';

const mib = 1024 ** 2;

function volume(name: string, activeOn: readonly string[], more: Partial<SeenVolume> = {}): SeenVolume {
  const sizes = { sizeBytes: 64 * mib, storedBytes: 4096, content: 'ext4' };
  return { name, activeOn, storage: 'san', ...sizes, tags: [], file: '', ...more };
}

function domain(node: string, more: Partial<SeenDomain> = {}): SeenDomain {
  return { node, id: 1, name: 'shop.alice', memoryMib: 512, vcpus: 2, bootId: 'a', disks: [], macs: [], ...more };
}

function world(more: Partial<World> = {}): World {
  return { volumes: [], domains: [], files: new Map(), ...more };
}

/** Changes as `sign word | word`. */
function told(before: Partial<World>, after: Partial<World>): readonly string[] {
  return changesBetween(world(before), world(after)).map(({ sign, words }) => `${sign} ${words.join(' | ')}`);
}

describe('changesBetween', () => {
  it('tells nothing when nothing changed', () => {
    const same = { volumes: [volume('lv-one-7-0', ['node1'])], domains: [domain('node1')] };
    expect(told(same, same)).toEqual([]);
  });

  it('tells of a new volume what it is and how much of it is stored', () => {
    const after = { volumes: [volume('lv-one-7-0', ['node1'])] };
    expect(told({}, after)).toEqual(['+ lv-one-7-0 | SAN | 64 MiB ext4 | active on node1 | 4 KiB stored']);
  });

  it('has one row for volumes of a VM to which the same happened, and others for other VMs', () => {
    const all = (node: string): SeenVolume[] =>
      ['lv-one-7-0', 'lv-one-7-1', 'lv-one-71-1'].map((name) => volume(name, [node]));
    expect(told({ volumes: all('node1') }, { volumes: all('node2') })).toEqual([
      '~ lv-one-7-{0,1} | active on node1, now active on node2',
      '~ lv-one-71-1 | active on node1, now active on node2',
    ]);
  });

  it('takes a volume that is active on two nodes for what it is', () => {
    const before = { volumes: [volume('lv-one-7-0', ['node1'])] };
    const after = { volumes: [volume('lv-one-7-0', ['node1', 'node2'])] };
    expect(told(before, after)).toEqual(['~ lv-one-7-0 | active on node1, now active on node1 and node2']);
  });

  it('tells volumes of the same name in different storages apart', () => {
    const before = { volumes: [volume('lv-one-8-0', ['node3'], { storage: 'node3' })] };
    const after = { volumes: [volume('lv-one-8-0', ['node1'])] };
    expect(told(before, after)).toEqual([
      '+ lv-one-8-0 | SAN | 64 MiB ext4 | active on node1 | 4 KiB stored',
      '- lv-one-8-0 | from node3',
    ]);
  });

  it('tells a guest that goes on from one that booted', () => {
    const before = { domains: [domain('node1')] };
    const resumed = { domains: [domain('node1', { id: 2 })] };
    const rebooted = { domains: [domain('node1', { id: 2, bootId: 'b' })] };
    expect(told(before, resumed)).toEqual(['~ shop.alice | domain 2 on node1, the same guest goes on']);
    expect(told(before, rebooted)).toEqual(['~ shop.alice | domain 2 on node1, booted anew']);
    expect(told(before, { domains: [domain('node2')] })).toEqual(['~ shop.alice | ran on node1, now on node2']);
  });

  it('tells files by the directory of their VM', () => {
    const files = (...names: readonly string[]): Partial<World> => ({
      files: new Map(names.map((name) => [name, ''])),
    });
    expect(told({}, files('7/vm.xml', '7/disk.0'))).toEqual(['+ $DS/0/7 | disk.0, vm.xml']);
    expect(told(files('7/vm.xml', '8/vm.xml'), {})).toEqual(['- $DS/0/{7,8} | 2 files and links']);
  });
});
