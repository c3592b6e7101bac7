/**
 * Makes a sandbox: the directories of the machines, the volume groups, the drivers where OpenNebula has them, their
 * configuration and the stand-ins. Everything is inside one directory; removing that (remove.ts) removes all of it.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { createGroup } from './host/group-file.ts';
import { frontendName, groupBytes, volumeGroup, type Layout, type NodeLayout } from './layout.ts';
import { writeRecords } from './one/record-files.ts';
import { imageDatastore, systemDatastore } from './one/records.ts';
import { frontendStandIns, nodeStandIns } from './stand-ins.ts';

export interface Abilities {
  readonly root: boolean;
  /** Volumes may be mounted through loop devices. */
  readonly mounts: boolean;
  /** zstd is installed; without it, archives travel with gzip and are saved without compression. */
  readonly zstd: boolean;
}

/** Programs that the tour and the drivers run, by their Debian packages. */
const programs: Readonly<Record<string, readonly string[]>> = {
  bash: ['bash'],
  coreutils: ['cat', 'cp', 'dd', 'mkfifo', 'sleep', 'timeout'],
  diffutils: ['cmp'],
  e2fsprogs: ['debugfs', 'dumpe2fs', 'mke2fs'],
  gzip: ['gzip'],
  tar: ['tar'],
  'util-linux': ['blkid', 'fallocate', 'flock', 'mkswap', 'unshare'],
};

/** Packages of which a program is in none of the directories. */
export function missingPackages(directories: readonly string[]): readonly string[] {
  const missing = (program: string): boolean => !directories.some((directory) => existsSync(join(directory, program)));
  return Object.entries(programs)
    .filter(([, names]) => names.some(missing))
    .map(([name]) => name);
}

/** What this machine and this user can do. @param directory for a small file system to try with */
export function findAbilities(directory: string): Abilities {
  const root = process.geteuid?.() === 0;
  return { root, mounts: root && canMount(directory), zstd: existsSync('/usr/bin/zstd') };
}

/** In a container root may not; then nothing is mounted, as for an ordinary user. */
function canMount(directory: string): boolean {
  const image = join(directory, 'mount-test');
  try {
    execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', image, '4m'], { stdio: 'ignore' });
    const mount = ['mount', '-n', '-t', 'ext4', '-o', 'ro', image, '/mnt'];
    execFileSync('unshare', ['--mount', '--propagation=private', ...mount], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** @param built the directory with `remotes`, `sbin` and `sandbox` as the build leaves them */
export function prepareSandbox(layout: Layout, built: string, abilities: Abilities): void {
  // The bundles are CommonJS, whatever package.json is above the sandbox.
  writeFileSync(join(layout.directory, 'package.json'), '{ "type": "commonjs" }\n');
  mkdirSync(layout.temporary, { recursive: true });
  for (const id of [systemDatastore, imageDatastore]) {
    mkdirSync(join(layout.datastores, String(id)), { recursive: true });
  }
  copyPrograms(layout, built);
  cpSync(join(built, 'remotes'), layout.remotes, { recursive: true });
  mkdirSync(join(layout.remotes, 'etc/cxm'), { recursive: true });
  writeFileSync(join(layout.remotes, 'etc/cxm/cxmrc'), frontendSettings(abilities));
  for (const node of layout.nodes) prepareNode(layout, node);
  mkdirSync(dirname(layout.clusterConf), { recursive: true });
  writeFileSync(layout.clusterConf, clusterSettings(layout));
  writeRecords(layout, { vms: [], images: [] });
}

function copyPrograms(layout: Layout, built: string): void {
  mkdirSync(layout.library, { recursive: true });
  for (const file of [
    'sandbox/tour.cjs',
    'sandbox/cxm-host',
    'sandbox/xl',
    'sandbox/cxm',
    'sandbox/lvm',
    'sandbox/cxm_fence',
    'sbin/one-migrate',
  ]) {
    const copy = join(layout.library, file.slice(file.indexOf('/') + 1));
    copyFileSync(join(built, file), copy);
    chmodSync(copy, 0o755);
  }
  writeScripts(layout.frontendPrograms, frontendStandIns);
  writeScripts(layout.nodePrograms, nodeStandIns);
  for (const name of ['xl', 'xentop']) symlinkSync(join(layout.library, 'xl'), join(layout.nodePrograms, name));
  for (const name of ['vgs', 'lvs', 'lvchange', 'dmsetup']) {
    symlinkSync(join(layout.library, 'lvm'), join(layout.nodePrograms, name));
  }
}

function writeScripts(directory: string, scripts: Readonly<Record<string, string>>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(scripts)) {
    writeFileSync(join(directory, name), text);
    chmodSync(join(directory, name), 0o755);
  }
}

function prepareNode(layout: Layout, node: NodeLayout): void {
  const { configDirectory, autostartDirectory, devices, home, xen, runDirectory, syslog } = node;
  const etc = join(node.directory, 'etc/cxm');
  for (const directory of [
    configDirectory,
    autostartDirectory,
    devices,
    home,
    xen,
    runDirectory,
    join(syslog, '..'),
    etc,
  ]) {
    mkdirSync(directory, { recursive: true });
  }
  if (!existsSync(node.groupDirectory)) createGroup(node.groupDirectory, volumeGroup, groupBytes);
  const settings = { CFG_DIR: configDirectory, AUTO_DIR: autostartDirectory, ONE_HOST: frontendName };
  writeFileSync(join(etc, 'cxmrc'), assignments(settings));
  // A bit of memory, a bit of time for a guest to end.
  const host = { name: node.name, cpus: 8, memoryMib: 16_384, bridges: ['br0'] };
  writeFileSync(join(xen, 'host.json'), JSON.stringify(host));
  writeFileSync(join(xen, 'knobs.json'), JSON.stringify({ shutdownDelayMs: 100, teardownMs: 50, migrateCopyMs: 200 }));
  // As OpenNebula copies its drivers to hosts.
  cpSync(layout.remotes, node.scripts, { recursive: true });
  writeFileSync(syslog, '');
}

function frontendSettings({ zstd }: Abilities): string {
  return assignments({
    VG_NAME: volumeGroup,
    VM_FQDN_TEMPLATE: '%V.%U',
    MODE: zstd ? 'TZST' : 'RAW',
    CLOUD_NAME: `sandbox-${randomUUID().slice(0, 8)}`,
    FRONTEND_NAMES: frontendName,
    SHUTDOWN_TIMEOUT: '20',
    BUSY_TIMEOUT: '10',
  });
}

/** cxm.conf of all three nodes. */
function clusterSettings(layout: Layout): string {
  const names = layout.nodes.map(({ name }) => `'${name}'`).join(', ');
  return `# The cluster of this sandbox; see docs/cxm.conf.md.
CLUSTER_NAME = "sandbox"
ALLOWED_NODES = [${names}]
SHUTDOWN_TIMEOUT = 20
FENCE_CMD = "${join(layout.library, 'cxm_fence')}"
POST_MIGRATION_HOOK = "${join(layout.library, 'one-migrate')}"
`;
}

function assignments(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}="${value}"\n`)
    .join('');
}
