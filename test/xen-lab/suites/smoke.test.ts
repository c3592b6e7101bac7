/** The ground of the other suites: if one of these fails, the lab is broken, not the product. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { lab } from '../../lab/lab.ts';
import { nodeLayout, type NodeName } from '../../lab/layout.ts';
import {
  askGuest,
  guestAnswers,
  guestConfiguration,
  guestCounts,
  guestsOn,
  makeGuestImage,
  noGuestOn,
} from '../guest.ts';
import { throttleSan } from '../qemu.ts';

const address = '10.77.0.101';
const nodes = ['node1', 'node2'] as const;

test('two nodes run Xen 4.17 and see one empty volume group', async () => {
  for (const node of nodes) {
    expect(await lab.output(node, 'xl info | grep ^xen_m')).toMatch(/xen_major *: 4\nxen_minor *: 17/);
    expect(await lab.logicalVolumes(node)).toEqual([]);
  }
  expect(await lab.output('node1', 'vgs --noheadings -o vg_uuid VG0')).toBe(
    await lab.output('node2', 'vgs --noheadings -o vg_uuid VG0'),
  );
});

test('the SAN of a node can be slowed down and made to hang, and works again afterwards', async () => {
  const read = async (node: NodeName): Promise<number> => {
    const start = performance.now();
    await lab.node(node, 'dd if=/dev/vdb of=/dev/null bs=64k count=4 iflag=direct status=none');
    return performance.now() - start;
  };
  await throttleSan(nodeLayout('node1'), 64 * 1024);
  expect(await read('node1')).toBeGreaterThan(2000);
  expect(await read('node2')).toBeLessThan(2000);
  await throttleSan(nodeLayout('node1'), 1);
  const hanging = read('node1');
  await sleep(4000);
  await throttleSan(nodeLayout('node1'), 0);
  expect(await hanging).toBeGreaterThan(4000);
});

test('a guest boots from a volume, counts on it, moves to the other node and counts on', async () => {
  makeGuestImage('/var/tmp/guest', 64);
  await lab.node('node1', 'lvcreate -qq -y -Wn -L 64M -n guest VG0 && lvchange -ay VG0/guest');
  await lab.node('node1', 'dd of=/dev/VG0/guest bs=1M conv=fsync status=none', {
    input: readFileSync('/var/tmp/guest'),
  });
  const configuration = guestConfiguration({ name: 'guest', disk: '/dev/VG0/guest', address });
  await lab.node('node1', 'cat > /etc/xen/vm/guest && xl create -q /etc/xen/vm/guest', { input: configuration });
  const boot = await guestAnswers(address);
  const counted = await guestCounts(address, 2);
  await lab.node('node2', 'lvchange -ay VG0/guest');
  await lab.node('node1', 'xl migrate guest node2');
  expect(await guestsOn('node1')).toEqual([]);
  expect(await guestsOn('node2')).toEqual(['guest']);
  expect(await guestCounts(address, counted)).toBeGreaterThan(counted);
  expect(await askGuest(address, 'boot')).toBe(boot);
  await lab.node('node2', 'xl shutdown -w guest');
  await noGuestOn('node2');
});
