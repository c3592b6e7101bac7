/**
 * A machine on which systemd is the first process, as far as this machine's kernel gives one away: processes, mounts, network
 * and control groups of its own, and a copy of `/` that forgets what is written to it. Of the units of the distribution it
 * has systemd's journal; nothing of it may touch the kernel's settings. Needs root.
 *
 * Guarantees: this machine's own systemd, files and network know nothing of it; all of it ends with this process, but for empty
 * control groups if `close` was not called.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { endOf, type Ended } from '../sandbox/guest-house.ts';

const spaces = ['--pid', '--mount', '--ipc', '--uts', '--cgroup', '--net'];

const mounts = `
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
`;

/** What all its processes are children of; $1 is its name. */
const boot = `
${mounts}
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
rm -rf etc/systemd/system lib/systemd/system/*.wants
mkdir etc/systemd/system
printf '[Unit]\\nWants=systemd-journald.service\\nAllowIsolate=yes\\n' > etc/systemd/system/booted.target
hostname "$1"
echo "$1" > etc/hostname
ip link set lo up
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
  chroot . /lib/systemd/systemd --system --unit=booted.target --log-target=journal --show-status=0
`;

export class SystemdMachine {
  private constructor(
    private readonly group: string,
    private readonly program: ChildProcess,
    private readonly firstProcess: number,
  ) {}

  /** @throws Error when it does not come up */
  static async boot(name: string): Promise<SystemdMachine> {
    const group = join(ownGroup() ?? '', `cxm-${name}-${process.pid}`);
    fs.mkdirSync(group);
    const enter = ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', group];
    const unshare = ['unshare', ...spaces, '--fork', '--kill-child'];
    const words = ['--pdeathsig', 'KILL', ...enter, ...unshare, 'sh', '-c', boot, 'boot', name];
    const program = spawn('setpriv', words, { stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    program.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    for (let attempt = 0; program.exitCode === null && attempt < 300; attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const first = firstChild(program.pid ?? 0);
      // Before that it would be this machine's own systemd that answers.
      if (first === undefined || !isSystemd(first)) continue;
      const machine = new SystemdMachine(group, program, first);
      if ((await machine.run('systemctl', 'is-system-running')).stdout.trim() === 'running') return machine;
    }
    program.kill('SIGKILL');
    removeGroup(group);
    throw new Error(`systemd does not come up: ${complaint.trim()}`);
  }

  run(...words: readonly string[]): Promise<Ended> {
    const inside = ['--target', String(this.firstProcess), ...spaces, '--root', '--wd'];
    const child = spawn('nsenter', [...inside, '--', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return endOf(child);
  }

  write(path: string, content: string | Uint8Array, mode = 0o644): void {
    const file = join(`/proc/${this.firstProcess}/root`, path);
    fs.mkdirSync(dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
    fs.chmodSync(file, mode);
  }

  async close(): Promise<void> {
    this.program.kill('SIGKILL');
    while (!removeGroup(this.group)) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The control group of this process, as a directory; undefined where the kernel's unified hierarchy is not mounted. */
function ownGroup(): string | undefined {
  const [, mountPoint] = /^(?:\S+ ){4}(\S+) .* - cgroup2 /m.exec(fs.readFileSync('/proc/self/mountinfo', 'utf8')) ?? [];
  const [, path] = /^0::(.*)$/m.exec(fs.readFileSync('/proc/self/cgroup', 'utf8')) ?? [];
  return mountPoint === undefined || path === undefined ? undefined : join(mountPoint, path);
}

/** With all below it. @returns false while a process in it has not ended yet */
function removeGroup(group: string): boolean {
  const { status } = spawnSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+'], {
    stdio: 'ignore',
  });
  return status === 0;
}

/** Not on every machine may even root have all that: hardly in a container. */
export function systemdIsHere(): boolean {
  if (process.getuid?.() !== 0 || !fs.existsSync('/lib/systemd/systemd') || ownGroup() === undefined) return false;
  try {
    execFileSync('unshare', [...spaces, '--fork', 'sh', '-c', mounts], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function isSystemd(processId: number): boolean {
  try {
    return fs.readlinkSync(`/proc/${processId}/exe`).endsWith('/systemd');
  } catch {
    return false;
  }
}

function firstChild(parent: number): number | undefined {
  try {
    const [child] = fs.readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ');
    return child === undefined || child === '' ? undefined : Number(child);
  } catch {
    return undefined;
  }
}
