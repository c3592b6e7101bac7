/**
 * The images of the Xen lab, made of Debian packages: once, in about two minutes, whole or not at all. They hold Xen, the
 * accounts and settings that a Xen host of OpenNebula has, and a guest; our own product is installed when a lab starts.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { createKeys, installHost } from '../lab/machines.ts';
import {
  cacheDirectory,
  currentImages,
  imagesIn,
  mirrorVariable,
  recipeDirectory,
  rootDiskSize,
  type Images,
} from './layout.ts';

/** What a dom0 runs. */
const packages = [
  ...['xen-hypervisor-4.17-amd64', 'xen-utils-4.17', 'xen-utils-common', 'xenstore-utils', 'linux-image-amd64'],
  ...['mount', 'util-linux', 'kmod', 'udev', 'iproute2', 'iputils-ping', 'procps', 'busybox-static', 'libatomic1'],
  ...['openssh-server', 'openssh-client', 'sudo', 'lvm2', 'e2fsprogs', 'xfsprogs', 'tar', 'zstd', 'acl', 'attr'],
] as const;

/** What nobody reads on a node. */
const unwanted = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info', 'var/lib/apt/lists'];

const busyboxLinks =
  'sh mount umount insmod switch_root sleep cat echo mkdir ls ip ping hostname poweroff reboot halt init dd sync sed cp ps kill printf httpd wget';

/** Makes them if they are not there; older ones go, and what a kill has left. @param say takes a line of progress */
export function ensureImages(say: (line: string) => void): Images {
  const images = currentImages();
  if (fs.existsSync(images.directory)) return images;
  fs.mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 });
  const unfinished = join(cacheDirectory, `unfinished-${process.pid}`);
  try {
    make(imagesIn(unfinished), join(unfinished, 'root'), say);
    fs.renameSync(unfinished, images.directory);
  } finally {
    fs.rmSync(unfinished, { recursive: true, force: true });
  }
  for (const other of fs.readdirSync(cacheDirectory)) {
    const path = join(cacheDirectory, other);
    const builder = /^unfinished-(\d+)$/.exec(other)?.[1];
    const abandoned = builder !== undefined && !fs.existsSync(`/proc/${builder}`);
    if (abandoned || (other.startsWith('images-') && path !== images.directory)) fs.rmSync(path, { recursive: true });
  }
  return images;
}

function make(images: Images, root: string, say: (line: string) => void): void {
  fs.mkdirSync(images.directory, { recursive: true });
  say('making the image of the nodes from Debian packages (about two minutes, once)');
  // Without bookworm-security: its Xen (4.17.7) is built without shadow paging, so it can't migrate PV guests live, nor
  // run any other guest on a processor without nested paging, as QEMU's is.
  const mirror = process.env[mirrorVariable] ?? 'http://deb.debian.org/debian';
  run('mmdebstrap', [
    ...['--variant=apt', '--mode=root', '--quiet', '--aptopt=APT::Install-Recommends "0"'],
    `--include=${packages.join(',')}`,
    ...['bookworm', root, `deb ${mirror} bookworm main`],
  ]);
  const release = fs.readdirSync(join(root, 'lib/modules'))[0] ?? '';
  createKeys(images.keys);
  installHost(root, images.keys, '/dev/vdb');
  // The emulated processor has no instructions for AES.
  const sshd = join(root, 'etc/lab/sshd_config');
  const settings = fs.readFileSync(sshd, 'utf8').replace(/^Ciphers .*$/m, 'Ciphers chacha20-poly1305@openssh.com');
  fs.writeFileSync(sshd, settings);
  fs.copyFileSync(process.execPath, join(root, 'usr/bin/node'));
  fs.rmSync(join(root, 'usr/local/bin/node'), { force: true });
  fs.copyFileSync(join(images.keys, 'host'), join(root, 'etc/lab/host_key'));
  recipe('dom0-init.sh', join(root, 'etc/lab/init'));
  for (const script of ['block-fast', 'vif-fast']) recipe(script, join(root, 'etc/lab', script));
  const kernel = join(root, `boot/vmlinuz-${release}`);
  fs.copyFileSync(kernel, images.kernel);
  fs.writeFileSync(images.xen, output('zcat', [join(root, 'boot/xen-4.17-amd64.gz')]));
  makeInitramfs(root, release, 'dom0-initramfs.sh', ['virtio_pci', 'virtio_blk', 'ext4'], images.initramfs);
  makeGuest(root, release, images);
  for (const directory of unwanted) fs.rmSync(join(root, directory), { recursive: true, force: true });
  run('chroot', [root, 'depmod', release]);
  say('making their disk');
  run('truncate', ['-s', rootDiskSize, images.rootDisk]);
  const features = ['-O', '^metadata_csum,^64bit', '-E', 'lazy_itable_init=0,lazy_journal_init=0'];
  run('mkfs.ext4', ['-q', '-F', ...features, '-d', root, images.rootDisk]);
  fs.rmSync(root, { recursive: true });
}

/**
 * A guest: kernel and initramfs in dom0's /boot, where templates may take them from, and a small Linux as files, which goes
 * on its disk. An unpacked kernel starts in a third of the time on an emulated processor.
 */
function makeGuest(root: string, release: string, images: Images): void {
  const packed = fs.readFileSync(images.kernel);
  const start = packed.indexOf(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]));
  if (start < 0) throw new Error('the kernel holds no xz stream');
  const unpacked = output('xz', ['--decompress', '--stdout', '--single-stream'], packed.subarray(start));
  fs.writeFileSync(join(root, 'boot/guest-kernel'), unpacked, { mode: 0o644 });
  const modules = ['xen_blkfront', 'xen_netfront', 'ext4', 'isofs'];
  makeInitramfs(root, release, 'guest-initramfs.sh', modules, join(root, 'boot/guest-initramfs'));
  const tree = images.guestTree;
  for (const directory of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'www', 'context', 'mnt', 'root']) {
    fs.mkdirSync(join(tree, directory), { recursive: true });
  }
  installBusybox(root, join(tree, 'bin'));
  fs.symlinkSync('bin', join(tree, 'sbin'));
  fs.mkdirSync(join(tree, 'usr'));
  for (const name of ['bin', 'sbin']) fs.symlinkSync('../bin', join(tree, 'usr', name));
  recipe('guest-inittab', join(tree, 'etc/inittab'), 0o644);
  for (const name of ['start', 'count', 'stop']) recipe(`guest-${name}.sh`, join(tree, 'etc', name));
  fs.writeFileSync(join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
}

/** busybox, some modules in the order in which they load, and an /init. */
function makeInitramfs(
  root: string,
  release: string,
  init: string,
  modules: readonly string[],
  destination: string,
): void {
  const tree = join(dirname(root), `initramfs-${init}`);
  for (const directory of ['bin', 'dev', 'proc', 'sys', 'root', 'modules']) {
    fs.mkdirSync(join(tree, directory), { recursive: true });
  }
  installBusybox(root, join(tree, 'bin'));
  recipe(init, join(tree, 'init'));
  const depends = ['-S', release, '--all', '--show-depends', ...modules, 'crc32c_generic'];
  const lines = output('chroot', [root, 'modprobe', ...depends])
    .toString()
    .split('\n');
  const paths = new Set(lines.filter((line) => line.startsWith('insmod ')).map((line) => line.split(' ')[1] ?? ''));
  const names = [...paths].map((path, index) => {
    const name = `${String(index).padStart(2, '0')}-${path.split('/').at(-1) ?? ''}`;
    fs.copyFileSync(join(root, path), join(tree, 'modules', name));
    return name;
  });
  fs.writeFileSync(join(tree, 'modules/order'), names.join('\n') + '\n');
  const files = output('find', ['.', '-print0'], undefined, tree);
  fs.writeFileSync(destination, output('cpio', ['--null', '--create', '--format=newc', '--quiet'], files, tree));
  fs.rmSync(tree, { recursive: true });
}

function installBusybox(root: string, directory: string): void {
  fs.copyFileSync(join(root, 'bin/busybox'), join(directory, 'busybox'));
  fs.chmodSync(join(directory, 'busybox'), 0o755);
  for (const name of busyboxLinks.split(' ')) fs.symlinkSync('busybox', join(directory, name));
}

function recipe(name: string, destination: string, mode = 0o755): void {
  fs.mkdirSync(dirname(destination), { recursive: true });
  fs.copyFileSync(join(recipeDirectory, name), destination);
  fs.chmodSync(destination, mode);
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

function output(program: string, args: readonly string[], input?: Buffer, cwd?: string): Buffer {
  return execFileSync(program, args, {
    input: input ?? Buffer.alloc(0),
    maxBuffer: 512 * 1024 * 1024,
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(cwd === undefined ? {} : { cwd }),
  });
}
