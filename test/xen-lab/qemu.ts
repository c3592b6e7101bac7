/**
 * A node as a dom0 of Xen in QEMU: its command line, and freezing and thawing. QEMU emulates the processor, so no machine
 * needs to support virtualisation; plain qemu64, because Xen's dom0 crashes on the processors that QEMU can do more of.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { bridge, frontendAddress, sharedSystemDatastore, type NodeLayout } from '../lab/layout.ts';
import { noteProcess } from '../lab/node-process.ts';
import { currentImages, hotplug, memory, overlayOf, sharedDisk, sharedDiskSize } from './layout.ts';

/** Starts it from its disk. */
export async function bootMachine(node: NodeLayout): Promise<void> {
  const images = currentImages();
  prepareTap(node);
  if (!existsSync(overlayOf(node.name))) {
    const base = ['-b', images.rootDisk, '-F', 'raw', overlayOf(node.name)];
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...base]);
  }
  if (!existsSync(sharedDisk)) execFileSync('truncate', ['-s', sharedDiskSize, sharedDisk]);
  await start(node, []);
}

/** Starts it with the memory that `freeze` has written; its disks are those of that moment. */
export async function thawMachine(node: NodeLayout, file: string): Promise<void> {
  prepareTap(node);
  await start(node, ['-incoming', `exec:cat ${file}`]);
  const monitor = await Monitor.open(node);
  for (;;) {
    const { status } = await monitor.ask<{ status: string }>('query-status');
    if (status !== 'inmigrate') break;
    await sleep(20);
  }
  await monitor.ask('cont');
  monitor.close();
}

/** Stops it for good, with its memory in a file. @throws Error when QEMU could not write it */
export async function freezeMachine(node: NodeLayout, file: string): Promise<void> {
  const monitor = await Monitor.open(node);
  await monitor.ask('stop');
  await monitor.ask('migrate-set-parameters', { 'max-bandwidth': 8 * 1024 ** 3 });
  await monitor.ask('migrate', { uri: `exec:cat > ${file}` });
  for (;;) {
    const { status } = await monitor.ask<{ status: string }>('query-migrate');
    if (status === 'completed') break;
    if (status === 'failed' || status === 'cancelled') throw new Error(`${node.name} could not be frozen: ${status}`);
    await sleep(50);
  }
  monitor.close();
}

/** The SAN answers this node so fast, in bytes a second; 0 for as fast as it can. With 1 it hangs. */
export async function throttleSan(node: NodeLayout, bytesPerSecond: number): Promise<void> {
  const monitor = await Monitor.open(node);
  const others = { bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 };
  await monitor.ask('block_set_io_throttle', { device: 'san', bps: bytesPerSecond, ...others });
  monitor.close();
}

function prepareTap(node: NodeLayout): void {
  if (existsSync(node.directory)) return;
  mkdirSync(node.directory, { recursive: true });
  execFileSync('ip', ['tuntap', 'add', node.tap, 'mode', 'tap']);
  execFileSync('ip', ['link', 'set', node.tap, 'master', bridge, 'up']);
}

async function start(node: NodeLayout, more: readonly string[]): Promise<void> {
  const images = currentImages();
  const xen = [
    ...['console=com1', 'com1=115200,8n1', `dom0_mem=${memory.dom0}M,max:${memory.dom0}M`, 'dom0_max_vcpus=1'],
    ...['noreboot', 'bootscrub=0', 'loglvl=warning', 'guest_loglvl=warning'],
  ];
  const dom0 = [
    ...['console=hvc0', 'quiet', 'net.ifnames=0', `NODE_NAME=${node.name}`, `NODE_ADDRESS=${node.address}`],
    ...[`NODE_GATEWAY=${frontendAddress}`, `FAST_HOTPLUG=${hotplug() === 'fast' ? 'yes' : 'no'}`],
  ];
  const args = [
    ...['-name', node.name, '-M', 'pc', '-accel', 'tcg,tb-size=512', '-cpu', 'qemu64', '-smp', '1'],
    ...['-m', String(memory.machine), '-nodefaults', '-no-reboot', '-display', 'none'],
    ...['-kernel', images.xen, '-append', xen.join(' ')],
    ...['-initrd', `${images.kernel} ${dom0.join(' ')},${images.initramfs}`],
    ...['-drive', `file=${overlayOf(node.name)},if=none,id=root,format=qcow2,cache=unsafe`],
    ...['-device', 'virtio-blk-pci,drive=root'],
    ...['-drive', `file=${sharedDisk},if=none,id=san,format=raw,cache=none,file.locking=off`],
    ...['-device', 'virtio-blk-pci,drive=san,share-rw=on'],
    ...['-netdev', `tap,id=lan,ifname=${node.tap},script=no,downscript=no`],
    ...['-device', `virtio-net-pci,netdev=lan,mac=${node.mac},romfile=`],
    ...['-fsdev', `local,id=datastore,path=${sharedSystemDatastore},security_model=passthrough`],
    ...['-device', 'virtio-9p-pci,fsdev=datastore,mount_tag=datastore'],
    ...['-serial', `file:${node.console}`, '-qmp', `unix:${monitorOf(node)},server=on,wait=off`],
    ...more,
  ];
  writeFileSync(node.console, '');
  const log = openSync(`${node.directory}/qemu.log`, 'w');
  const child = spawn('qemu-system-x86_64', args, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  noteProcess(node, child);
  (await Monitor.open(node)).close();
}

function monitorOf(node: NodeLayout): string {
  return `${node.directory}/monitor`;
}

interface Reply {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly QMP?: unknown;
}

/** QEMU's machine protocol: one JSON object a line, an answer to each command in order, events in between. */
class Monitor {
  private constructor(
    private readonly replies: AsyncIterator<string>,
    private readonly send: (line: string) => void,
    readonly close: () => void,
  ) {}

  /** Waits until QEMU listens. @throws Error if it does not within ten seconds */
  static async open(node: NodeLayout): Promise<Monitor> {
    const path = monitorOf(node);
    for (const deadline = Date.now() + 10_000; ; await sleep(20)) {
      const socket = createConnection(path);
      const connected = await new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      });
      if (connected) {
        socket.on('error', () => undefined);
        const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
        const monitor = new Monitor(
          lines,
          (line) => void socket.write(line),
          () => socket.destroy(),
        );
        await monitor.ask('qmp_capabilities');
        return monitor;
      }
      if (Date.now() > deadline)
        throw new Error(`QEMU of ${node.name} does not listen: see ${node.directory}/qemu.log`);
    }
  }

  async ask<T>(command: string, options?: Readonly<Record<string, unknown>>): Promise<T> {
    this.send(`${JSON.stringify({ execute: command, ...(options && { arguments: options }) })}\n`);
    for (;;) {
      const { value, done } = await this.replies.next();
      if (done === true) throw new Error(`QEMU went away during ${command}`);
      const reply = JSON.parse(value) as Reply;
      if (reply.error !== undefined) throw new Error(`QEMU refuses ${command}: ${reply.error.desc}`);
      if ('return' in reply) return reply.return as T;
    }
  }
}
