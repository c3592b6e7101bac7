/**
 * What is installed on the lab's machines: accounts, keys, sshd, sudo, LVM's settings and our own product, written
 * into a mounted root (an overlay of this machine's `/`, which stays as it is). Pieces of the product that are not
 * built yet are left out, so that the lab serves the parts that are.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import {
  checkout,
  datastores,
  frontendAddress,
  keysDirectory,
  labDirectory,
  modulesDirectory,
  nodeLayout,
  nodeNames,
  oneadmin,
  sshConfig,
  volumeGroup,
} from './layout.ts';

const here = join(checkout, 'test/lab');
export const product = {
  remotes: join(checkout, 'dist/remotes'),
  helper: join(checkout, 'dist/sbin/cxm-host'),
  cxm: join(checkout, 'dist/sbin/cxm'),
  hook: join(checkout, 'dist/sbin/one-migrate'),
  simulatedXl: join(checkout, 'dist/sandbox/xl'),
  sudoers: join(checkout, 'remotes/etc/cxm/sudoers'),
} as const;

/** OpenNebula's commands that the stand-in answers. */
const oneCommands = ['onevm', 'oneimage', 'onehost'] as const;

/** Key pairs of root, of oneadmin, and of every machine as a host; made anew for each run. */
export function createKeys(directory: string): void {
  fs.mkdirSync(directory);
  for (const owner of ['root', 'oneadmin', 'host']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', owner, '-f', join(directory, owner)]);
  }
}

/** The machine that oned would run on. */
export function installFrontend(root: string, keys: string): void {
  installCommon(root, keys);
  installRemotes(join(root, oneadmin.home, 'remotes'));
  for (const command of oneCommands) {
    copy(join(here, 'one-stand-in.sh'), join(root, 'usr/local/bin', command), 0o755);
    ownedDirectory(join(root, oneadmin.home, command));
  }
  const ssh = [
    ...['Host node*', 'User root', `IdentityFile ${keysDirectory}/root`, 'BatchMode yes', 'LogLevel ERROR'],
    ...['ControlMaster auto', `ControlPath ${labDirectory}/ssh-%n`, 'ControlPersist 3600'],
    // Nodes that share a core with much else may be silent for long.
    ...['ConnectTimeout 20', 'ServerAliveInterval 5', 'ServerAliveCountMax 12'],
  ];
  write(join(root, sshConfig), ssh.join('\n') + '\n', 0o600);
}

/**
 * A Xen host without our product: what all nodes have in common. Its name and address come with the kernel's command line.
 * @param disk the device of the volume group
 */
export function installHost(root: string, keys: string, disk: string): void {
  installCommon(root, keys);
  write(join(root, 'etc/lvm/lvmlocal.conf'), lvmSettings.replace('DISK', disk), 0o644);
  for (const directory of ['etc/xen/vm', 'etc/xen/auto', 'var/lib/xen']) {
    fs.mkdirSync(join(root, directory), { recursive: true });
  }
  fs.rmSync(join(root, 'etc/sudoers.d'), { recursive: true, force: true });
  write(join(root, 'etc/sudoers.d/lab'), 'Defaults env_keep += "DM_DISABLE_UDEV"\n', 0o440);
}

/** A user-mode-linux node. */
export function installUmlNode(root: string, keys: string): void {
  installHost(root, keys, '/dev/ubda');
  copy(join(here, 'node-init.sh'), join(root, 'etc/lab/init'), 0o755);
  fs.mkdirSync(join(root, 'lib/modules'), { recursive: true });
  for (const release of fs.readdirSync(modulesDirectory)) {
    const link = join(root, 'lib/modules', release);
    if (!fs.existsSync(link)) fs.symlinkSync(join(modulesDirectory, release), link);
  }
  installRemotes(join(root, 'var/tmp/one'));
  if (fs.existsSync(product.helper)) copy(product.helper, join(root, 'usr/local/sbin/cxm-host'), 0o755);
  if (fs.existsSync(product.cxm)) copy(product.cxm, join(root, 'usr/local/sbin/cxm'), 0o755);
  if (fs.existsSync(product.simulatedXl)) copy(product.simulatedXl, join(root, 'usr/sbin/xl'), 0o755);
  copy(product.sudoers, join(root, 'etc/sudoers.d/cxm'), 0o440);
}

function installCommon(root: string, keys: string): void {
  installAccounts(root);
  const names = [`${frontendAddress} frontend`, ...nodeNames.map((name) => `${nodeLayout(name).address} ${name}`)];
  write(join(root, 'etc/hosts'), ['127.0.0.1 localhost', ...names, ''].join('\n'), 0o644);
  const hostKey = fs.readFileSync(join(keys, 'host.pub'), 'utf8');
  const known = names.map((line) => `${line.replace(' ', ',')} ${hostKey.trim()}\n`);
  write(join(root, 'etc/ssh/ssh_known_hosts'), known.join(''), 0o644);
  copy(join(keys, 'host'), join(root, 'etc/lab/host_key'), 0o600);
  write(join(root, 'etc/lab/sshd_config'), sshdSettings, 0o644);
  installKey(join(root, 'root/.ssh'), join(keys, 'root'));
  ownedDirectory(join(root, oneadmin.home));
  installKey(join(root, oneadmin.home, '.ssh'), join(keys, 'oneadmin'));
  own(join(root, oneadmin.home, '.ssh'));
  for (const id of ['.', ...Object.values(datastores).map(String)]) {
    ownedDirectory(join(root, oneadmin.home, 'datastores', id));
  }
  for (const file of ['.bashrc', '.profile', '.bash_profile']) write(join(root, 'root', file), '', 0o644);
  if (!process.execPath.startsWith('/usr/')) {
    fs.rmSync(join(root, 'usr/local/bin/node'), { force: true });
    fs.symlinkSync(process.execPath, join(root, 'usr/local/bin/node'));
  }
}

/** oneadmin as OpenNebula's packages create it; without a password, and not locked for ssh keys. */
function installAccounts(root: string): void {
  const { name, uid, gid, home } = oneadmin;
  replaceLine(join(root, 'etc/passwd'), name, `${name}:x:${uid}:${gid}::${home}:/bin/bash`);
  replaceLine(join(root, 'etc/group'), name, `${name}:x:${gid}:`);
  replaceLine(join(root, 'etc/shadow'), name, `${name}:*:19000:0:99999:7:::`);
  replaceLine(join(root, 'etc/shadow'), 'root', 'root:*:19000:0:99999:7:::');
}

function installRemotes(target: string): void {
  fs.rmSync(target, { recursive: true, force: true });
  fs.mkdirSync(target, { recursive: true });
  if (fs.existsSync(product.remotes)) execFileSync('cp', ['-a', `${product.remotes}/.`, target]);
  write(join(target, 'cxmrc'), `VG_NAME="${volumeGroup}"\n`, 0o644);
  own(target);
}

function installKey(directory: string, key: string): void {
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory, { mode: 0o700 });
  copy(key, join(directory, 'id_ed25519'), 0o600);
  copy(`${key}.pub`, join(directory, 'authorized_keys'), 0o600);
}

function replaceLine(file: string, account: string, line: string): void {
  const others = fs.readFileSync(file, 'utf8').split('\n');
  const kept = others.filter((other) => other !== '' && !other.startsWith(`${account}:`));
  fs.writeFileSync(file, [...kept, line, ''].join('\n'));
}

function ownedDirectory(directory: string): void {
  fs.mkdirSync(directory, { recursive: true, mode: 0o755 });
  fs.chownSync(directory, oneadmin.uid, oneadmin.gid);
}

function own(tree: string): void {
  execFileSync('chown', ['-R', `${oneadmin.uid}:${oneadmin.gid}`, tree]);
}

function copy(from: string, to: string, mode: number): void {
  write(to, fs.readFileSync(from), mode);
}

function write(file: string, content: string | Uint8Array, mode: number): void {
  fs.mkdirSync(dirname(file), { recursive: true });
  fs.rmSync(file, { force: true });
  fs.writeFileSync(file, content);
  fs.chmodSync(file, mode);
}

/**
 * One key exchange and one cipher, because emulated kernels feel each handshake. MaxStartups and MaxSessions are
 * above the defaults (10 each) so that twenty concurrent actions meet our locks and not sshd's limits.
 */
const sshdSettings = `HostKey /etc/lab/host_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
KexAlgorithms curve25519-sha256
Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com
MaxStartups 100
MaxSessions 100
SetEnv DM_DISABLE_UDEV=1
Subsystem sftp internal-sftp
`;

/** No udev on the nodes: LVM makes the device files itself and looks at the SAN's disk only. */
const lvmSettings = `devices {
  obtain_device_list_from_udev = 0
  external_device_info_source = "none"
  use_devicesfile = 0
  multipath_component_detection = 0
  md_component_detection = 0
  filter = [ "a|^DISK$|", "r|.*|" ]
}
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
global { event_activation = 0 use_lvmpolld = 0 use_lvmlockd = 0 system_id_source = "none" }
backup { backup = 1 archive = 0 }
`;
