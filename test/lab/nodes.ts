/**
 * Nodes as processes: starting, killing, hanging and cutting off user-mode-linux kernels. Used by the supervisor to
 * boot and by tests to break things; must run inside the lab's namespaces.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, openSync, closeSync, readFileSync, rmSync, mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  bridge,
  diskSizes,
  frontendAddress,
  labDirectory,
  nodeLayout,
  nodeRoot,
  oneadmin,
  sharedSystemDatastore,
  sshConfig,
  volumeGroup,
  type NodeLayout,
  type NodeName,
} from './layout.ts';

const bootTimeoutMs = 60_000;

/** Capabilities of a node's kernel: any file as any owner, and its network interface. */
const needed = '+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+net_admin';

/**
 * Boots a node and waits until it answers ssh; nothing happens if it runs. Its disks keep what was synced before.
 * @throws Error with the end of its console if it does not come up
 */
export async function startNode(name: NodeName): Promise<void> {
  if (isRunning(name)) return;
  await reap(name);
  const node = nodeLayout(name);
  const isNew = !existsSync(node.directory);
  if (isNew) createDisks(node);
  boot(node, isNew && name !== 'node2');
  const deadline = Date.now() + bootTimeoutMs;
  while (!readFileSync(node.console, 'utf8').includes(`READY ${name}`)) {
    if (Date.now() > deadline || !isRunning(name)) {
      throw new Error(`${name} did not come up:\n${readFileSync(node.console, 'utf8').slice(-4000)}`);
    }
    await sleep(20);
  }
  ssh('-n', name, 'true');
}

/** Power failure: what was not synced is lost, connections to it hang. */
export async function killNode(name: NodeName): Promise<void> {
  disconnect(name);
  await reap(name);
}

/** The node hangs, as under a stalled hypervisor; `contNode` wakes it. */
export function stopNode(name: NodeName): void {
  process.kill(processId(name), 'SIGSTOP');
}

export function contNode(name: NodeName): void {
  process.kill(processId(name), 'SIGCONT');
}

/** Takes the node off the network; it goes on working. */
export function cutNode(name: NodeName): void {
  execFileSync('ip', ['link', 'set', nodeLayout(name).tap, 'nomaster']);
}

export function healNode(name: NodeName): void {
  execFileSync('ip', ['link', 'set', nodeLayout(name).tap, 'master', bridge]);
}

/** Whether the node's kernel runs (or hangs). */
export function isRunning(name: NodeName): boolean {
  const { pidFile } = nodeLayout(name);
  if (!existsSync(pidFile)) return false;
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${readFileSync(pidFile, 'utf8')}/status`, 'utf8'));
  } catch {
    return false; // it may end at any moment
  }
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
  if (child.pid === undefined) throw new Error('taskset could not be started');
  child.unref();
  writeFileSync(node.pidFile, String(child.pid));
}

/** Ends the node's whole process group and waits until it is gone. */
async function reap(name: NodeName): Promise<void> {
  const { pidFile } = nodeLayout(name);
  if (!existsSync(pidFile)) return;
  try {
    process.kill(-processId(name), 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
  while (isRunning(name)) await sleep(5);
  rmSync(pidFile);
}

function processId(name: NodeName): number {
  const { pidFile } = nodeLayout(name);
  if (!existsSync(pidFile)) throw new Error(`${name} was not started`);
  return Number(readFileSync(pidFile, 'utf8'));
}

function ssh(...args: readonly string[]): void {
  execFileSync('ssh', ['-F', sshConfig, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function disconnect(name: NodeName): void {
  try {
    execFileSync('ssh', ['-F', sshConfig, '-O', 'exit', name], { stdio: 'ignore' });
  } catch {
    // no connection was open
  }
}
