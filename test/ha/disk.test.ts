/** The heartbeat disk on a file: what is written is read, and damage is told from change. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { maxCounter } from '../../src/ha/bytes.ts';
import { DiskThread } from '../../src/ha/disk/disk-thread.ts';
import { bootClock } from '../../src/ha/effects/boot-clock.ts';
import * as format from '../../src/ha/disk/format.ts';
import { HeartbeatDisk } from '../../src/ha/disk/heartbeat-disk.ts';
import { formatDevice, inspectDevice } from '../../src/ha/disk/prepare.ts';
import type { Lease, Slot } from '../../src/ha/protocol/blocks.ts';
import { roles } from '../../src/ha/records.ts';
import { localCommands } from '../../src/host/commands.ts';

let directory: string;
let device: string;

beforeEach(() => {
  // Not under a tmpfs: direct I/O is what is tried here.
  directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-disk-'));
  device = join(directory, 'disk');
  fs.writeFileSync(device, '');
  fs.truncateSync(device, format.diskBytes);
});

afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

async function formatted(cluster = 'lab', force = false): Promise<string> {
  return formatDevice(device, cluster, await inspectDevice(device, localCommands), force);
}

const counter = fc.nat({ max: maxCounter });
const turn = fc.record({ version: counter, on: fc.boolean() });
const ledgerList = fc.array(fc.integer({ min: 1, max: maxCounter }), { maxLength: format.slotCount });
const ledger = fc.record({ fenced: ledgerList, recovered: ledgerList, excluded: ledgerList });
const slots: fc.Arbitrary<Slot> = fc.record({
  index: fc.nat({ max: format.slotCount - 1 }),
  name: fc.string({ maxLength: 60 }),
  incarnation: counter,
  sequence: counter,
  epoch: counter,
  role: fc.constantFrom(...roles),
  maintenance: fc.boolean(),
  watchdogMs: fc.integer({ min: 0, max: 600_000 }),
  partial: fc.boolean(),
  vms: fc.array(
    fc.record({ name: fc.string({ maxLength: 60 }), phase: fc.constantFrom('running', 'starting', 'incoming') }),
    { maxLength: 150 },
  ),
  ledger,
  switches: fc.record({ panic: turn, disarmed: turn }),
});
const leases: fc.Arbitrary<Lease> = fc.record({
  epoch: counter,
  owner: fc.nat({ max: format.slotCount - 1 }),
  incarnation: counter,
  sequence: counter,
  released: fc.boolean(),
  ledger,
});
const diskId = '00112233445566778899aabbccddeeff';

function sample(index: number, sequence: number, vms: number): Slot {
  const none = { version: 0, on: false };
  return {
    index,
    name: `node${index}`,
    incarnation: 3,
    sequence,
    epoch: 1,
    role: 'passive',
    maintenance: false,
    watchdogMs: 30_000,
    partial: false,
    vms: Array.from({ length: vms }, (_, at) => ({ name: `vm${at}.example.org`, phase: 'running' })),
    ledger: { fenced: [], recovered: [0, 2], excluded: [] },
    switches: { panic: none, disarmed: none },
  };
}

function trimmed<T extends { ledger: Slot['ledger'] }>(value: T): T {
  const cut = (list: readonly number[]): readonly number[] => list.slice(0, list.findLastIndex((one) => one !== 0) + 1);
  const { fenced, recovered, excluded } = value.ledger;
  return { ...value, ledger: { fenced: cut(fenced), recovered: cut(recovered), excluded: cut(excluded) } };
}

describe('the format', () => {
  test('fits 64 nodes into 4 MiB', () => {
    expect(format.diskBytes).toBe(4 * 1024 * 1024);
    expect(format.slotCount).toBeGreaterThanOrEqual(32);
  });

  test('every slot and lease is read as it was written', () => {
    fc.assert(
      fc.property(slots, fc.constantFrom(0, 1), (slot, area) => {
        const { head, overflow } = format.encodeSlot(diskId, slot, area);
        const rest = format.overflowOf(head);
        expect(rest?.area).toBe(overflow.length > 0 ? area : undefined);
        expect(format.decodeSlot(diskId, slot.index, head, overflow)).toEqual(trimmed(slot));
      }),
    );
    fc.assert(
      fc.property(leases, (lease) => {
        expect(format.decodeLease(diskId, format.encodeLease(diskId, lease))).toEqual(trimmed(lease));
      }),
    );
  });

  test('a byte that changed anywhere makes it torn, and nothing else', () => {
    fc.assert(
      fc.property(slots, fc.nat(), fc.integer({ min: 1, max: 255 }), (slot, place, change) => {
        const { head, overflow } = format.encodeSlot(diskId, slot, 0);
        const whole = Buffer.concat([head, overflow]);
        const used = 48 + head.readUInt32BE(8);
        const at = place % used;
        whole[at] = (whole[at] ?? 0) ^ change;
        expect(format.decodeSlot(diskId, slot.index, whole.subarray(0, 4096), whole.subarray(4096))).toBe('torn');
      }),
      { numRuns: 300 },
    );
  });

  test('random bytes are torn, zeros are empty, and neither throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4096, maxLength: 4096 }), fc.boolean(), (bytes, named) => {
        const block = Buffer.from(bytes);
        if (named) block.write('cxmS\0\x01', 'latin1');
        expect(['torn', 'empty']).toContain(format.decodeSlot(diskId, 0, block, undefined));
        if (named) block.write('cxmL', 'latin1');
        expect(['torn', 'empty']).toContain(format.decodeLease(diskId, block));
        if (named) block.write('cxmH', 'latin1');
        expect(typeof format.decodeHeader(block)).not.toBe('object');
      }),
    );
    expect(format.decodeSlot(diskId, 0, Buffer.alloc(4096), undefined)).toBe('empty');
  });

  test('a block of another disk or in another place is torn', () => {
    const { head } = format.encodeSlot(diskId, sample(4, 1, 2), 0);
    expect(format.decodeSlot(diskId.replace('0', '1'), 4, head, undefined)).toBe('torn');
    expect(format.decodeSlot(diskId, 5, head, undefined)).toBe('torn');
  });

  test('a slot that is too large is refused before anything is written', async () => {
    await formatted();
    const disk = HeartbeatDisk.open(device, 'lab');
    expect(() => disk.writeSlot(sample(1, 1, 5000))).toThrow(/too large/);
    expect(disk.read().slots[1]).toBe('empty');
    disk.close();
  });
});

describe('a disk', () => {
  test('keeps slots of any length and the lease for others who read', async () => {
    await formatted();
    const [one, other] = [HeartbeatDisk.open(device, 'lab'), HeartbeatDisk.open(device, 'lab')];
    expect(other.read().lease).toBe('empty');
    for (const [sequence, vms] of [1, 400, 0, 300, 301, 2].entries()) {
      one.writeSlot(sample(63, sequence, vms));
      expect(other.read().slots[63]).toEqual(sample(63, sequence, vms));
    }
    const lease = { epoch: 4, owner: 2, incarnation: 1, sequence: 9, released: false, ledger: sample(0, 0, 0).ledger };
    one.writeLease(lease);
    expect(other.read().lease).toEqual(lease);
    one.close();
    other.close();
  });

  test('a writer that dies between overflow and head leaves the last slot readable', async () => {
    const id = await formatted();
    const disk = HeartbeatDisk.open(device, 'lab');
    disk.writeSlot(sample(0, 1, 300));
    const before = disk.read().slots[0];
    const head = readAt(format.firstHeadBlock * 4096);
    const area = format.overflowOf(head)?.area === 0 ? 1 : 0;
    const { overflow } = format.encodeSlot(id, sample(0, 2, 310), area);
    writeAt(format.overflowBlock(0, area) * 4096, overflow);
    const reader = HeartbeatDisk.open(device, 'lab');
    expect(reader.read().slots[0]).toEqual(before);
    // A successor takes the free area, too.
    const successor = HeartbeatDisk.open(device, 'lab');
    successor.writeSlot(sample(0, 3, 320));
    expect(format.overflowOf(readAt(format.firstHeadBlock * 4096))?.area).toBe(area);
    for (const open of [disk, reader, successor]) open.close();
  });

  test('a slot that is read while what its head leads to is replaced is read again, though its head stays', async () => {
    await formatted();
    const [own, other] = [HeartbeatDisk.open(device, 'lab'), HeartbeatDisk.open(device, 'lab')];
    own.writeSlot(sample(7, 1, 300));
    const at = format.overflowBlock(7, format.overflowOf(readAt((format.firstHeadBlock + 7) * 4096))?.area ?? 0) * 4096;
    const behind = readAt(at);
    writeAt(at, Buffer.alloc(4096));
    expect(other.read().slots[7]).toBe('torn');
    writeAt(at, behind);
    expect(other.read().slots[7]).toEqual(sample(7, 1, 300));
    own.close();
    other.close();
  });

  test('takes the slot of another node only over a damaged one, of any length, and its node goes on from there', async () => {
    await formatted();
    const [own, other] = [HeartbeatDisk.open(device, 'lab'), HeartbeatDisk.open(device, 'lab')];
    expect(() => own.mendSlot(sample(5, 1, 1))).toThrow(/can be read/);
    for (const vms of [2, 300, 310]) {
      other.writeSlot(sample(5, vms, vms));
      expect(() => own.mendSlot(sample(5, 1, 1))).toThrow(/can be read/);
      writeAt((format.firstHeadBlock + 5) * 4096 + 100, Buffer.from('damage'));
      expect(other.read().slots[5]).toBe('torn');
      own.mendSlot(sample(5, 1, 400 - vms));
      expect(other.read().slots[5]).toEqual(sample(5, 1, 400 - vms));
      expect(own.read().slots[5]).toEqual(sample(5, 1, 400 - vms));
    }
    const again = HeartbeatDisk.open(device, 'lab');
    again.writeSlot(sample(5, 9, 305));
    expect(other.read().slots[5]).toEqual(sample(5, 9, 305));
    for (const disk of [own, other, again]) disk.close();
  });

  test('that is formatted anew meanwhile is neither read nor written', async () => {
    await formatted();
    const disk = HeartbeatDisk.open(device, 'lab');
    disk.writeSlot(sample(0, 1, 1));
    await formatted('lab', true);
    expect(() => disk.read()).toThrow(/another heartbeat disk/);
    expect(() => disk.writeSlot(sample(0, 2, 1))).toThrow(/another heartbeat disk/);
    disk.close();
    const again = HeartbeatDisk.open(device, 'lab');
    expect(again.read().slots[0]).toBe('empty');
    again.close();
  });

  test('of another cluster, without header or with a damaged one is not opened', async () => {
    expect(() => HeartbeatDisk.open(device, 'lab')).toThrow(/is no heartbeat disk/);
    await formatted('other');
    expect(() => HeartbeatDisk.open(device, 'lab')).toThrow(/of the cluster other/);
    writeAt(50, Buffer.from('x'));
    expect(() => HeartbeatDisk.open(device, 'other')).toThrow(/damaged header/);
  });
});

describe('formatting', () => {
  test('refuses what carries something, says what, and does it when forced', async () => {
    const image = (): void => {
      fs.writeFileSync(device, '');
      fs.truncateSync(device, 8 * 1024 * 1024);
    };
    const cases: readonly (readonly [RegExp, () => void])[] = [
      [/of the type ext4/, () => execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', device])],
      [/of the type swap/, () => execFileSync('mkswap', [device], { stdio: 'ignore' })],
      [/data of an unknown kind/, () => writeAt(3 * 1024 * 1024 + 5, Buffer.from('x'))],
      [/partition table \(dos\)/, () => writePartitionTable()],
      [/physical volume of LVM/, () => writePhysicalVolume()],
      [/heartbeat disk of the cluster other/, () => void formatInto('other')],
      [/damaged or other heartbeat disk/, () => writeAt(0, Buffer.from('cxmH\0\x01garbage', 'latin1'))],
    ];
    for (const [said, prepare] of cases) {
      image();
      prepare();
      const before = fs.readFileSync(device);
      await expect(formatted()).rejects.toThrow(said);
      expect(fs.readFileSync(device).equals(before)).toBe(true);
      await formatted('lab', true);
      HeartbeatDisk.open(device, 'lab').close();
    }
  });

  test('names the nodes that use it', async () => {
    await formatted();
    const disk = HeartbeatDisk.open(device, 'lab');
    disk.writeSlot(sample(2, 1, 1));
    disk.writeSlot({ ...sample(3, 1, 1), role: 'alone' });
    disk.close();
    expect(await inspectDevice(device, localCommands)).toMatchObject({ cluster: 'lab', users: ['node2'] });
  });

  test('refuses what is too small, no device, or not there', async () => {
    fs.truncateSync(device, format.diskBytes - 1);
    await expect(formatted()).rejects.toThrow(/needs 4194304/);
    await expect(inspectDevice(directory, localCommands)).rejects.toThrow(/no block device/);
    await expect(inspectDevice(join(directory, 'nothing'), localCommands)).rejects.toThrow(/there is no device/);
  });
});

const loop = process.getuid?.() === 0 ? attachLoop() : undefined;

function attachLoop(): ((file: string) => string) | undefined {
  try {
    execFileSync('losetup', ['--find'], { stdio: 'ignore' });
    return (file) => execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

describe.skipIf(loop === undefined)('a block device', () => {
  test('is measured, formatted and used; one that is held by somebody else is refused', async () => {
    const block = loop?.(device) ?? '';
    try {
      const findings = await inspectDevice(block, localCommands);
      expect(findings).toMatchObject({ sizeBytes: format.diskBytes, carries: undefined });
      const holder = fs.openSync(block, fs.constants.O_RDWR | fs.constants.O_EXCL);
      expect(() => formatDevice(block, 'lab', findings, true)).toThrow(/is in use/);
      fs.closeSync(holder);
      formatDevice(block, 'lab', findings, false);
      const disk = HeartbeatDisk.open(block, 'lab');
      disk.writeSlot(sample(1, 1, 200));
      expect(disk.read().slots[1]).toEqual(sample(1, 1, 200));
      disk.close();
    } finally {
      execFileSync('losetup', ['--detach', block]);
    }
  });
});

describe('the thread', () => {
  test('opens, writes and reads; what hangs keeps no timer from running', async () => {
    await formatted();
    const program = await workerText();
    const { disk, diskId: id } = await DiskThread.open({ program, path: device, cluster: 'lab' }, 30_000);
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    await disk.writeSlot(sample(7, 1, 3));
    expect((await disk.read()).slots[7]).toEqual(sample(7, 1, 3));
    expect((await disk.read()).slots[7]).toEqual(sample(7, 1, 3));
    await expect(disk.writeSlot(sample(7, 2, 5000))).rejects.toThrow(/too large/);
    writeAt((format.firstHeadBlock + 8) * 4096, Buffer.from('damage'));
    await expect(disk.mendSlot(sample(8, 1, 1), 1)).rejects.toThrow(/too late/);
    expect((await disk.read()).slots[8]).toBe('torn');
    await disk.mendSlot(sample(8, 1, 1), bootClock()() + 60_000);
    expect((await disk.read()).slots[8]).toEqual(sample(8, 1, 1));
    expect(await disk.close(5000)).toBe(true);
    await expect(disk.read()).rejects.toThrow(/the thread of/);
  });

  test.skipIf(process.getuid?.() !== 0)('alone has the real-time class of I/O, as root', async () => {
    await formatted();
    const threads = (): readonly string[] => fs.readdirSync('/proc/self/task');
    // A thread of the test runner may end between the two looks.
    const priority = (thread: string): string =>
      spawnSync('ionice', ['-p', thread], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).stdout.trim();
    const { disk } = await DiskThread.open({ program: await workerText(), path: device, cluster: 'lab' }, 30_000);
    expect(
      threads()
        .map(priority)
        .filter((one) => one.startsWith('realtime')),
    ).toEqual(['realtime: prio 0']);
    await disk.close(5000);
  });

  test('says why it could not open', async () => {
    const program = await workerText();
    await expect(DiskThread.open({ program, path: device, cluster: 'lab' }, 30_000)).rejects.toThrow(
      /no heartbeat disk/,
    );
  });
});

async function workerText(): Promise<string> {
  const entryPoints = ['src/ha/disk/disk-worker-main.ts'];
  const result = await build({ entryPoints, bundle: true, write: false, platform: 'node', format: 'cjs' });
  return result.outputFiles[0]?.text ?? '';
}

function formatInto(cluster: string): void {
  formatDevice(device, cluster, { sizeBytes: 0, carries: undefined, cluster: undefined, users: [] }, true);
}

function writePartitionTable(): void {
  const table = Buffer.alloc(512);
  table.set([0, 0, 2, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 0, 8, 0, 0], 446);
  table.set([0x55, 0xaa], 510);
  writeAt(0, table);
}

/** The label in sector 1, with its own checksum left out: blkid doesn't ask for it. */
function writePhysicalVolume(): void {
  const label = Buffer.alloc(512);
  label.write('LABELONE', 0, 'latin1');
  label.writeUInt32LE(1, 8);
  label.writeUInt32LE(32, 20);
  label.write('LVM2 001', 24, 'latin1');
  label.write('0123456789abcdef0123456789abcdef', 32, 'latin1');
  label.writeUInt32LE(lvmChecksum(label.subarray(20)), 16);
  writeAt(512, label);
}

/** CRC-32 as LVM begins it. */
function lvmChecksum(bytes: Buffer): number {
  let crc = 0xf597a6cf;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0xedb88320 : 0);
  }
  return crc >>> 0;
}

function readAt(offset: number): Buffer {
  const block = Buffer.alloc(4096);
  const descriptor = fs.openSync(device, 'r');
  fs.readSync(descriptor, block, 0, 4096, offset);
  fs.closeSync(descriptor);
  return block;
}

function writeAt(offset: number, data: Buffer): void {
  const descriptor = fs.openSync(device, 'r+');
  fs.writeSync(descriptor, data, 0, data.length, offset);
  fs.fsyncSync(descriptor);
  fs.closeSync(descriptor);
}
