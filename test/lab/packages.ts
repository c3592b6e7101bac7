/**
 * The Debian packages that the tests need, and their installation. Installing must not start a service on this
 * machine: an sshd, say, that nobody asked for.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

/** What unit tests, sandbox and lab use; all but libfaketime is part of a Xen host or a frontend. */
const packages = [
  ...['user-mode-linux', 'lvm2', 'openssh-server', 'openssh-client', 'sudo', 'iproute2', 'kmod', 'procps', 'hostname'],
  ...[
    'mount',
    'util-linux',
    'e2fsprogs',
    'xfsprogs',
    'tar',
    'gzip',
    'zstd',
    'acl',
    'attr',
    'qemu-utils',
    'fping',
    'libfaketime',
    'systemd',
  ],
] as const;

/** Besides them, what the Xen lab makes its images with and runs them in. */
export const xenLabPackages = ['qemu-system-x86', 'mmdebstrap', 'cpio', 'xz-utils', 'debian-archive-keyring'] as const;

/** Which of them are missing; undefined on a machine without dpkg, where nobody can say. @param more to be there, too */
export function missingPackages(more: readonly string[] = []): readonly string[] | undefined {
  const wanted = [...packages, ...more];
  const asked = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...wanted], {
    encoding: 'utf8',
  });
  if (asked.error !== undefined) return undefined;
  const installed = new Set(asked.stdout.split('\n').filter((line) => line.endsWith(' installed')));
  return wanted.filter((name) => !installed.has(`${name} installed`));
}

/**
 * Installs packages, as root.
 * @throws Error if apt-get fails
 */
export function installPackages(names: readonly string[]): void {
  const run = (...args: readonly string[]): void =>
    void execFileSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  run('update');
  withoutServices(() => run('install', '-y', '--no-install-recommends', ...names));
  const sshd = names.includes('openssh-server') && fs.existsSync('/run/systemd/system');
  if (sshd) execFileSync('systemctl', ['--quiet', 'disable', 'ssh.service', 'ssh.socket'], { stdio: 'inherit' });
}

const policy = '/usr/sbin/policy-rc.d';

/** Packages ask this program before they start a service: 101 forbids it. An admin's own policy stays. */
function withoutServices(install: () => void): void {
  if (fs.existsSync(policy)) return install();
  fs.writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    fs.rmSync(policy);
  }
}
