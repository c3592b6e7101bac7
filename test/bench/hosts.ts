/**
 * The two hosts to which disks travel in the benchmark.
 *
 * - loopback: this machine itself, over its own sshd. Everything has the price that it has on hardware, but few kernels
 *   of test machines have the device mapper: volumes are sparse files, for both sides, and cxm works on them as in
 *   the sandbox. LVM's own commands are missing on both sides.
 * - lab: a node of the lab with real LVM on an emulated kernel, where programs, system calls and page faults cost ten to
 *   a hundred times as much.
 *
 * Runs inside the lab, as root on its frontend; whatever is installed here goes with it.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { createGroup } from '../../src/sandbox/host/group-file.ts';
import {
  groupBytes,
  layoutOf,
  mountVariable,
  nodeOf,
  nodeVariable,
  rawVariable,
  sandboxVariable,
  volumeGroup,
} from '../../src/sandbox/layout.ts';
import { lab } from '../lab/lab.ts';
import { checkout, disksDirectory, frontendAddress, nodeLayout } from '../lab/layout.ts';
import { mib, type HostId } from './options.ts';

export interface BenchHost {
  readonly id: HostId;
  /** As ssh and oned know it. */
  readonly name: string;
  /** Begins a sentence about where something was measured. */
  readonly description: string;
  /** The network interface to it, and which of its counters tell what goes both ways. */
  readonly wire: { readonly interface: string; readonly columns: readonly number[] };
  /** Where the volume of that name is. */
  path(volume: string): string;
  /** Shell text that makes a volume, as one types it. */
  create(volume: string, bytes: number): string;
  /** Shell text that zeroes a whole volume; undefined where new volumes are zero anyway. */
  readonly zero: ((volume: string) => string) | undefined;
  /** Options of a mount by hand. */
  readonly mountOptions: readonly string[];
  /** Shell text after which everything that was written is durable. */
  readonly sync: string;
  /** Standard output of shell text that root runs on the host. @throws Error when it fails */
  run(shellText: string): Promise<string>;
  /** Once before a part. */
  prepare(): Promise<void>;
  removeVolumes(): Promise<void>;
  /** Nothing is left to be written, and nothing of the SAN is in the host's memory. Programs stay in it. */
  settle(): Promise<void>;
}

// Received bytes are the first column of /proc/net/dev, transmitted the ninth.
const [received, transmitted] = [0, 8];

const labHost: BenchHost = {
  id: 'lab',
  name: 'node1',
  description: 'lab (real LVM, emulated kernel)',
  wire: { interface: nodeLayout('node1').tap, columns: [received, transmitted] },
  path: (volume) => `/dev/VG0/${volume}`,
  create: (volume, bytes) => `lvcreate -qq -y -Wn -Zn -L ${bytes / mib}M -n ${volume} VG0`,
  zero: (volume) => `blkdiscard -z /dev/VG0/${volume}`,
  mountOptions: [],
  sync: 'sync',
  run: (shellText) => lab.output('node1', shellText),
  prepare: async () => void (await lab.node('node1', `[ -e /run/cxm-bench ] || { ${restartSshd.join(' && ')}; }`)),
  async removeVolumes() {
    await lab.node('node1', 'for v in $(lvs --noheadings -o lv_name VG0); do lvremove -qq -f VG0/$v; done');
  },
  async settle() {
    const flush = 'for d in /dev/ubda /dev/VG0/*; do blockdev --flushbufs $d || true; done 2>/dev/null';
    await lab.node('node1', `sync; ${flush}; sleep 0.3`);
  },
};

/**
 * sshd's buffers grow in many steps, each of which gets new memory from the kernel, and a page fault of an emulated
 * kernel costs fifty times that of a real one: every connection would stand still for two to four seconds after its
 * first 2 MiB, whoever uses it. With the allocator told to take memory in large pieces and to keep it, that is gone.
 */
const sshdMemory = ['mmap_threshold=1073741824', 'trim_threshold=1073741824', 'top_pad=33554432'];
const tunables = sshdMemory.map((setting) => `glibc.malloc.${setting}`).join(':');
const restartSshd = [
  'pkill -o -x sshd',
  'sleep 0.2',
  `GLIBC_TUNABLES=${tunables} /usr/sbin/sshd -f /etc/lab/sshd_config -E /var/log/sshd.log`,
  'touch /run/cxm-bench',
];

const sandbox = layoutOf(join(disksDirectory, 'loopback'));
const node = nodeOf(sandbox, 'node1');

const loopbackHost: BenchHost = {
  id: 'loopback',
  name: 'loopback',
  description: 'loopback (files for volumes, real kernel)',
  wire: { interface: 'lo', columns: [received] },
  path: (volume) => join(node.devices, volumeGroup, volume),
  create: (volume, bytes) => `truncate -s ${bytes} ${join(node.devices, volumeGroup, volume)}`,
  zero: undefined,
  mountOptions: ['loop'],
  sync: `sync -f ${node.devices}`,
  run: (shellText) => Promise.resolve(execFileSync('bash', ['-euc', shellText], { encoding: 'utf8' }).trimEnd()),
  prepare: () => Promise.resolve(installLoopback()),
  removeVolumes() {
    for (const directory of [node.groupDirectory, join(node.devices, volumeGroup)]) {
      fs.rmSync(directory, { recursive: true, force: true });
      fs.mkdirSync(directory, { recursive: true });
    }
    createGroup(node.groupDirectory, volumeGroup, groupBytes);
    return Promise.resolve();
  },
  settle: () => Promise.resolve(void execFileSync('sync', ['-f', node.devices])),
};

/** Makes the frontend a host, too, by a name that is not the frontend's. */
function installLoopback(): void {
  if (fs.existsSync(node.directory)) return;
  const directories = [node.devices, node.runDirectory, dirname(node.syslog), dirname(sandbox.traffic)];
  for (const directory of directories) fs.mkdirSync(directory, { recursive: true });
  write(join(node.directory, 'etc/cxm/cxmrc'), `VG_NAME="${volumeGroup}"\n`, 0o644);
  fs.appendFileSync('/etc/hosts', `${frontendAddress} ${loopbackHost.name}\n`);
  const known = fs.readFileSync('/etc/ssh/ssh_known_hosts', 'utf8').split('\n')[0]?.split(' ').slice(1).join(' ');
  fs.appendFileSync('/etc/ssh/ssh_known_hosts', `${loopbackHost.name} ${known ?? ''}\n`);
  const environment = [
    `${sandboxVariable}=${sandbox.directory}`,
    `${nodeVariable}=${node.name}`,
    `${mountVariable}=yes`,
    `${rawVariable}=yes`,
  ].join(' ');
  const start = `exec env ${environment} ${process.execPath} ${join(checkout, 'dist/sandbox/cxm-host')}`;
  write('/usr/local/sbin/cxm-host', `#!/bin/sh\n${start}\n`, 0o755);
  write('/etc/sudoers.d/cxm', fs.readFileSync(join(checkout, 'remotes/etc/cxm/sudoers'), 'utf8'), 0o440);
}

function write(file: string, text: string, mode: number): void {
  fs.mkdirSync(dirname(file), { recursive: true });
  fs.rmSync(file, { force: true });
  fs.writeFileSync(file, text, { mode });
}

export const benchHosts: Readonly<Record<HostId, BenchHost>> = { loopback: loopbackHost, lab: labHost };
