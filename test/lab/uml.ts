/** A node as a user-mode-linux kernel: a real kernel that runs as a process, on an overlay of this machine's root. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync } from 'node:fs';
import {
  bridge,
  diskSizes,
  frontendAddress,
  labDirectory,
  nodeRoot,
  oneadmin,
  sharedSystemDatastore,
  volumeGroup,
  type NodeLayout,
} from './layout.ts';
import { noteProcess } from './node-process.ts';

/** Capabilities of a node's kernel: any file as any owner, and its network interface. */
const needed = '+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+net_admin';

/** Boots it; with new disks the first time. */
export function bootUml(node: NodeLayout): Promise<void> {
  const isNew = !existsSync(node.directory);
  if (isNew) createDisks(node);
  boot(node, isNew && node.name !== 'node2');
  return Promise.resolve();
}

function createDisks(node: NodeLayout): void {
  mkdirSync(node.directory, { recursive: true });
  execFileSync('truncate', ['-s', diskSizes.root, node.rootDisk]);
  execFileSync('mkfs.ext4', ['-q', '-F', '-J', 'size=16', '-E', 'nodiscard', node.rootDisk]);
  if (!existsSync(node.volumeDisk)) {
    const size = node.name === 'node3' ? diskSizes.local : diskSizes.san;
    execFileSync('truncate', ['-s', size, node.volumeDisk]);
  }
  execFileSync('ip', ['tuntap', 'add', node.tap, 'mode', 'tap']);
  execFileSync('ip', ['link', 'set', node.tap, 'master', bridge, 'up']);
}

/**
 * The kernel runs with oneadmin's user id and root's rights over files, so that files that nodes create in the shared
 * datastore belong to oneadmin, as on an NFS server that maps everybody to that user.
 * A guest that reboots executes argv[0] with the tap still open; `true` there makes a reboot a power-off.
 */
function boot(node: NodeLayout, createVolumeGroup: boolean): void {
  const umlDirectory = `${node.directory}/uml`;
  rmSync(umlDirectory, { recursive: true, force: true });
  mkdirSync(umlDirectory);
  const kernel = [
    `umid=${node.name}`,
    `uml_dir=${umlDirectory}`,
    `mem=${node.memoryMebibytes}M`,
    ...['rootfstype=hostfs', `rootflags=${nodeRoot}`, 'ro', 'quiet', 'loglevel=1', 'panic=-1'],
    `ubdac=${node.volumeDisk}`,
    `ubdb=${node.rootDisk}`,
    `vec0:transport=tap,ifname=${node.tap},depth=64,gro=1,mac=${node.mac}`,
    ...['con=null', 'con0=null,fd:1', 'ssl=null', 'init=/etc/lab/init'],
    `NODE_NAME=${node.name}`,
    `NODE_ADDRESS=${node.address}`,
    `NODE_GATEWAY=${frontendAddress}`,
    `SHARED_DATASTORE=${node.name === 'node3' ? '' : sharedSystemDatastore}`,
    ...(createVolumeGroup ? [`CREATE_VOLUME_GROUP=${volumeGroup}`] : []),
  ];
  const identity = ['--reuid', String(oneadmin.uid), '--regid', String(oneadmin.gid), '--clear-groups'];
  const capabilities = ['--securebits', '+no_setuid_fixup', '--inh-caps', needed, '--ambient-caps', needed];
  const launch = ['bash', '-c', 'exec -a /bin/true linux.uml "$@"', 'node', ...kernel];
  const log = openSync(node.console, 'w');
  const child = spawn('taskset', ['-c', String(node.core), 'setpriv', ...identity, ...capabilities, ...launch], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { PATH: process.env['PATH'], TMPDIR: labDirectory },
  });
  closeSync(log);
  noteProcess(node, child);
}
