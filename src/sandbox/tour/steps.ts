/**
 * The steps of the tour. Each is a wish of a user, what oned makes of it, and what has to be true afterwards.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { inspectImage } from '../../transfer/format.ts';
import { appliance, shop } from './machines.ts';
import type { Step } from './stage.ts';
import { sameContent, volumeOf } from './world.ts';

const gib = 1024 ** 3;

const deployArchive: Step = {
  title: 'A VM from an archive of files',
  wish: '$ onevm deploy 7 node1',
  note: 'A few MiB of files become a disk of 8 GiB: the archive travels and is unpacked into a fresh file system there.',
  volumes: /^lv-one-7-/,
  async run(stage) {
    await stage.lifecycle.deploy(shop.id, 'node1');
    stage.checkRunsOn(shop.id, shop.name, 'node1');
    stage.checkTags(shop.id);
    stage.check('the root disk has 8 GiB', volumeOf(stage.look(), shop.id, 0)?.sizeBytes === 8 * gib);
    stage.writeNote(shop.id, 0);
    stage.writeNote(shop.id, 1);
    stage.checkFiles(shop.id);
  },
};

const deployRaw: Step = {
  title: 'A VM from a raw image',
  wish: '$ onevm deploy 8 node3',
  note: '128 MiB with a partition table: blocks of zeros neither travel nor take room. node3 has disks of its own.',
  volumes: /^lv-one-8-/,
  async run(stage) {
    await stage.lifecycle.deploy(appliance.id, 'node3');
    stage.checkRunsOn(appliance.id, appliance.name, 'node3');
    const volume = volumeOf(stage.look(), appliance.id, 0);
    const { source } = stage.images.appliance;
    stage.check('the volume is the image, block for block', volume !== undefined && sameContent(volume.file, source));
  },
};

const monitor: Step = {
  title: 'Monitoring',
  wish: '(oned asks by itself, again and again)',
  note: 'poll is for OpenNebula 3.8, the probes (im/) for 5.12 and later, tm/monitor tells the room in the volume group.',
  async run(stage) {
    const poll = await stage.lifecycle.poll(shop.id);
    stage.check('poll says that the VM is active', poll.stdout.includes('STATE=a'));
    const datastore = await stage.lifecycle.monitorDatastore();
    stage.check('the volume group has 64 GiB', datastore.stdout.includes('TOTAL_MB=65536'));
    const host = await stage.caller.probe('node1', 'cxm-probes.d/host/monitor/cxm-usage');
    stage.check('the host says how much memory is free', /FREEMEMORY=\d/.test(host.stdout));
    const states = await stage.caller.probe('node1', 'cxm-probes.d/vm/status/cxm-status');
    stage.check(`the host says that it runs VM ${shop.id}`, /ID="7".*STATE="RUNNING"/.test(states.stdout));
  },
};

const migrateLive: Step = {
  title: 'Live migration',
  wish: '$ onevm migrate --live 7 node2',
  note: 'Both hosts see the SAN: the volumes become active there, then inactive here. No block of them is copied.',
  volumes: /^lv-one-7-/,
  async run(stage) {
    const guest = stage.bootId(shop.name);
    await stage.lifecycle.migrateLive(shop.id, 'node2');
    stage.checkRunsOn(shop.id, shop.name, 'node2');
    stage.checkSameGuest(shop.name, guest);
  },
};

/** Without OpenNebula: the cluster's command on a node, as its administrator or its load balancer calls it. */
const clusterMigration: Step = {
  title: 'The cluster moves the VM by itself',
  wish: '$ cxm migrate shop.alice node1   (on a node; OpenNebula is not asked)',
  note:
    'cxm sees that both nodes can have it, moves it, and runs the hook one-migrate. That has OpenNebula migrate the VM to ' +
    'where it is already, which changes nothing but the record.',
  volumes: /^lv-one-7-/,
  async run(stage) {
    const guest = stage.bootId(shop.name);
    await stage.caller.cluster('node2', ['migrate', shop.name, 'node1']);
    stage.checkRunsOn(shop.id, shop.name, 'node1');
    stage.checkSameGuest(shop.name, guest);
    const heard = await stage.soon(() => {
      const { state, history } = stage.lifecycle.vm(shop.id);
      return state === 'RUNNING' && history.at(-1) === 'node1';
    });
    stage.check('OpenNebula hears of it, and says node1', heard);
  },
};

const suspend: Step = {
  title: 'Save and restore',
  wish: '$ onevm suspend 7; onevm resume 7',
  note: 'The memory goes to a checkpoint, the volumes become inactive; then both come back.',
  volumes: /^lv-one-7-/,
  async run(stage) {
    const guest = stage.bootId(shop.name);
    await stage.lifecycle.suspend(shop.id);
    const active = stage.look().volumes.filter(({ name, activeOn }) => name.includes('-7-') && activeOn.length > 0);
    stage.check('meanwhile no volume of it is active anywhere', active.length === 0);
    await stage.lifecycle.resume(shop.id);
    stage.checkRunsOn(shop.id, shop.name, 'node1');
    stage.checkSameGuest(shop.name, guest);
  },
};

const undeploy: Step = {
  title: 'Off the hosts and back on another one',
  wish: '$ onevm undeploy 7; onevm deploy 7 node2',
  note: 'What was a file system goes to the frontend as an archive and becomes one again: 8 GiB travel as their files.',
  volumes: /^lv-one-7-/,
  async run(stage) {
    await stage.lifecycle.undeploy(shop.id);
    const file = join(stage.layout.datastores, '0/7/disk.0');
    stage.check('on the frontend the disk of 8 GiB is a file of less than 32 MiB', stored(file) < 32 * 1024 ** 2);
    const left = stage.look().volumes.filter(({ name }) => /^lv-one-7-[012]$/.test(name));
    stage.check('no volume of its disks is left on a host', left.length === 0);
    await stage.lifecycle.deploy(shop.id, 'node2');
    stage.checkRunsOn(shop.id, shop.name, 'node2');
    stage.check('the root disk has 8 GiB again', volumeOf(stage.look(), shop.id, 0)?.sizeBytes === 8 * gib);
    stage.checkFiles(shop.id);
  },
};

const migrateCold: Step = {
  title: 'Migration between hosts that share nothing',
  wish: '$ onevm migrate 8 node1',
  note:
    'node1 does not see the disks of node3. The memory is saved, the blocks that hold data go to the frontend and on to ' +
    'node1 in one stream, so they cross the network twice.',
  volumes: /^lv-one-8-/,
  async run(stage) {
    const guest = stage.bootId(appliance.name);
    await stage.lifecycle.migrateCold(appliance.id, 'node1');
    stage.checkRunsOn(appliance.id, appliance.name, 'node1');
    stage.checkSameGuest(appliance.name, guest);
    const volume = volumeOf(stage.look(), appliance.id, 0);
    const same = volume !== undefined && sameContent(volume.file, stage.images.appliance.source);
    stage.check('its disk is the same, block for block', same);
  },
};

const hotplug: Step = {
  title: 'Plugging while it runs',
  wish: '$ onevm disk-attach 7; onevm nic-attach 7; onevm disk-detach 7 5',
  note: 'A new disk with a file system and a second network interface come, then the disk goes again.',
  async run(stage) {
    const domain = () => stage.look().domains.find(({ name }) => name === shop.name);
    await stage.lifecycle.attachDisk(shop.id, { diskId: 5, target: 'xvdf', sizeMb: 128, volatile: 'fs' });
    stage.check('the guest has the disk xvdf', domain()?.disks.some((disk) => disk.startsWith('xvdf=')) === true);
    const mac = '02:00:0a:00:00:17';
    await stage.lifecycle.attachNic(shop.id, { nicId: 1, mac, ip: '10.0.0.17', bridge: 'br0' });
    stage.check(`and the interface ${mac}`, domain()?.macs.includes(mac) === true);
    await stage.lifecycle.detachDisk(shop.id, 5);
    const unplugged = domain()?.disks.every((disk) => !disk.startsWith('xvdf=')) === true;
    stage.check('the disk is gone again', unplugged && volumeOf(stage.look(), shop.id, 5) === undefined);
    stage.checkRunsOn(shop.id, shop.name, 'node2');
  },
};

const saveAs: Step = {
  title: 'A running disk saved as a new image',
  wish: '$ onevm disk-saveas 7 0 golden',
  note: 'Read through a snapshot while the guest runs on; the new image is an archive again.',
  volumes: /^lv-one-7-0$/,
  async run(stage) {
    const source = await stage.lifecycle.saveAs(shop.id, 0, 'golden');
    stage.check('the image of 8 GiB takes less than 32 MiB', stored(source) < 32 * 1024 ** 2);
    const { note } = await inspectImage(source);
    stage.check('a disk made of it will have 8 GiB again', note?.sizeBytes === 8 * gib);
    stage.checkNoteInArchive(source);
    stage.check(
      'no snapshot is left',
      stage.look().volumes.every(({ name }) => !name.endsWith('_reading')),
    );
    stage.checkRunsOn(shop.id, shop.name, 'node2');
  },
};

const terminate: Step = {
  title: 'The end of both VMs',
  wish: '$ onevm terminate 7; onevm terminate 8',
  volumes: /^lv-one-7-1$/,
  note: 'The persistent disk goes back into its image; everything else goes without a trace.',
  async run(stage) {
    await stage.lifecycle.terminate(shop.id);
    await stage.lifecycle.terminate(appliance.id);
    const { volumes, domains, files } = stage.look();
    stage.check('no domain and no volume is left on any host', domains.length === 0 && volumes.length === 0);
    stage.check('no file and no link of a VM is left', files.size === 0);
    stage.check(
      'the persistent image is an archive again',
      (await inspectImage(stage.images.data.source)).container === 'tar',
    );
    stage.checkNoteInArchive(stage.images.data.source);
  },
};

export const steps: readonly Step[] = [
  deployArchive,
  deployRaw,
  monitor,
  migrateLive,
  clusterMigration,
  suspend,
  undeploy,
  migrateCold,
  hotplug,
  saveAs,
  terminate,
];

/** Bytes that a file takes on its disk. */
function stored(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}
