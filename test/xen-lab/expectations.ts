/** What must be true of both nodes of the Xen lab, whatever the drivers say. */
import { expect } from 'vitest';
import { lab } from '../lab/lab.ts';
import type { NodeName } from '../lab/layout.ts';
import { guestsOn, noGuestOn } from './guest.ts';
import { layout } from './one.ts';

/** The VM runs on one node and nowhere else, its volumes are active there and nowhere else. */
export async function expectAt(node: NodeName, name: string, volumes: readonly string[]): Promise<void> {
  const other = node === 'node1' ? 'node2' : 'node1';
  expect([await guestsOn(node), await guestsOn(other)]).toEqual([[name], []]);
  const active = async (where: NodeName): Promise<readonly string[]> =>
    (await lab.logicalVolumes(where)).filter((volume) => volume.active).map((volume) => volume.name);
  expect([await active(node), await active(other)]).toEqual([volumes, []]);
  const open = (await lab.logicalVolumes(node)).filter((volume) => volume.open).map((volume) => volume.name);
  expect(open).toEqual(volumes);
}

export async function expectNothing(): Promise<void> {
  for (const node of ['node1', 'node2'] as const) {
    await noGuestOn(node);
    expect(await lab.logicalVolumes(node)).toEqual([]);
    expect(await lab.deviceMapper(node)).toEqual([]);
    // A probe of a node that has lost its power stays, until one of another day is placed.
    const files = "ls -A /etc/xen/vm /etc/xen/auto | grep -v -e : -e '^$' -e '^[.]cxm-here-' || true";
    expect(await lab.output(node, files)).toBe('');
    expect(await lab.output(node, `ls -A ${layout.datastores}/0`)).toBe('');
  }
}
