/**
 * The supervisor: runs in fresh namespaces (see up.ts), makes this machine's root an overlay that becomes the
 * frontend, starts sshd and the nodes, runs the command and ends with its exit code. With it ends everything else,
 * because the namespace's first process waits for nothing but this.
 *
 * Before the change of root, the lab's tmpfs is mounted on /mnt and the frontend's root on /srv: directories that every
 * Debian has, so that not even a mount point is created on the machine.
 */
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import {
  bridge,
  checkout,
  frontendAddress,
  labDirectory,
  labKind,
  labVariable,
  oneadmin,
  startedNodes,
  volumeGroup,
} from './layout.ts';
import { createKeys, installFrontend, installUmlNode } from './machines.ts';
import { startNode } from './nodes.ts';

const xen = labKind === 'xen' ? (await import('../xen-lab/layout.ts')).currentImages() : undefined;
const stage = '/mnt';
const newRoot = '/srv';

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

/**
 * An overlay of this machine's root, with its changes in the stage. Temporary directories start empty, or what other
 * programs of this machine do there would look like traces of ours.
 */
function mountOverlay(name: string, target: string, emptyDirectories: readonly string[]): void {
  const [upper, work] = [join(stage, 'layers', name, 'upper'), join(stage, 'layers', name, 'work')];
  for (const directory of [upper, work, target]) fs.mkdirSync(directory, { recursive: true });
  for (const directory of emptyDirectories) {
    fs.mkdirSync(join(upper, directory), { recursive: true });
    fs.chmodSync(join(upper, directory), 0o1777);
    run('setfattr', '-n', 'trusted.overlay.opaque', '-v', 'y', join(upper, directory));
  }
  run('mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=/,upperdir=${upper},workdir=${work}`, target);
}

/**
 * The checkout appears in a root even if it is on another file system than the machine's root, and so do its
 * node_modules if they are a link to somewhere else.
 */
function showCheckout(root: string, mode: 'ro' | 'rw'): void {
  const modules = fs.realpathSync(join(checkout, 'node_modules'));
  for (const directory of modules.startsWith(`${checkout}/`) ? [checkout] : [checkout, modules]) {
    fs.mkdirSync(join(root, directory), { recursive: true });
    run('mount', '--bind', '-o', mode, directory, join(root, directory));
  }
}

/**
 * Disks of a SAN zero and discard blocks at once. A file on a tmpfs can't zero a range without writing it, a file on
 * this machine's disk is slow at punching holes; one on a file system without a journal in memory does both well. The
 * loop device frees itself with the namespace's last mount.
 */
function makeDisksDirectory(): void {
  const [directory, store] = [join(stage, 'disks'), join(stage, 'disks.img')];
  fs.mkdirSync(directory);
  run('truncate', '-s', '64G', store);
  run('mkfs.ext4', '-q', '-F', '-m', '0', '-O', '^has_journal', '-E', 'nodiscard', store);
  try {
    run('mount', '-o', 'loop,discard,nodev', store, directory);
  } catch {
    process.stderr.write('lab: no loop device here: disks are plain files on a tmpfs, zeroing them is slow\n');
    fs.rmSync(store);
  }
}

function makeMachines(): void {
  run('mount', '-t', 'tmpfs', '-o', 'mode=755,size=80%', 'tmpfs', stage);
  makeDisksDirectory();
  if (xen === undefined) createKeys(join(stage, 'keys'));
  else fs.cpSync(xen.keys, join(stage, 'keys'), { recursive: true });
  fs.mkdirSync(join(stage, 'system-datastore'), { mode: 0o755 });
  fs.chownSync(join(stage, 'system-datastore'), oneadmin.uid, oneadmin.gid);

  if (xen === undefined) {
    mountOverlay('node', join(stage, 'node-root'), ['tmp', 'var/tmp']);
    showCheckout(join(stage, 'node-root'), 'ro');
    installUmlNode(join(stage, 'node-root'), join(stage, 'keys'));
  }

  // Commands find this machine's /tmp on the frontend, to be used for scripts in it; writes stay in the lab.
  mountOverlay('frontend', newRoot, ['var/tmp']);
  showCheckout(newRoot, 'rw');
  if (xen !== undefined) run('mount', '--bind', xen.directory, join(newRoot, xen.directory));
  run('mount', '-t', 'proc', 'proc', join(newRoot, 'proc'));
  run('mount', '--rbind', '/sys', join(newRoot, 'sys'));
  run('mount', '--rbind', '/dev', join(newRoot, 'dev'));
  run('mount', '-t', 'tmpfs', 'tmpfs', join(newRoot, 'dev/shm'));
  run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', join(newRoot, 'run'));
  fs.mkdirSync(join(newRoot, labDirectory));
  run('mount', '--move', stage, join(newRoot, labDirectory));
  installFrontend(newRoot, join(newRoot, labDirectory, 'keys'));
}

/** From here on `/` of every process in the namespace is the frontend's. */
function changeRoot(): void {
  process.chdir(newRoot);
  run('pivot_root', '.', `.${stage}`);
  run('umount', '-l', stage);
}

function makeNetwork(): void {
  run('hostname', 'frontend');
  run('ip', 'link', 'set', 'lo', 'up');
  run('ip', 'link', 'add', bridge, 'type', 'bridge');
  run('ip', 'address', 'add', `${frontendAddress}/24`, 'dev', bridge);
  run('ip', 'link', 'set', bridge, 'up');
  fs.mkdirSync('/run/sshd');
  run('/usr/sbin/sshd', '-f', '/etc/lab/sshd_config', '-E', '/var/log/sshd.log');
}

/** Runs the command in the caller's directory, if the frontend has it; resolves to its exit code. */
function runCommand(directory: string, command: readonly string[]): Promise<number> {
  const [program = 'bash', ...args] = command;
  const child = spawn(program, args, {
    stdio: 'inherit',
    cwd: fs.existsSync(directory) ? directory : checkout,
    env: { ...process.env, [labVariable]: '1' },
  });
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`lab: ${program} can't be run: ${error.message}\n`);
      resolve(127);
    });
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

const startedAt = Date.now();
const [callerDirectory = checkout, ...command] = process.argv.slice(2);
process.on('SIGINT', () => undefined); // the command gets it too, and decides
makeMachines();
changeRoot();
makeNetwork();
if (xen === undefined) await Promise.all(startedNodes.map((name) => startNode(name)));
else await (await import('../xen-lab/cluster.ts')).startCluster();
const nodes = `${startedNodes.join(', ')} with volume group ${volumeGroup}`;
process.stderr.write(`lab: ${nodes} up after ${Date.now() - startedAt} ms\n`);
process.exit(await runCommand(callerDirectory, command));
