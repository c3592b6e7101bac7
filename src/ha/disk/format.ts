/**
 * What is where on a heartbeat disk, as bytes: docs/ha-disk.md. Pure.
 *
 * Guarantees: every block carries a checksum over the disk's identity and its contents, so a block of another disk, a torn
 * one and a misplaced one are never taken for good; a slot is replaced by the write of one 4 KiB block, whatever its
 * length, so a node that dies in a write leaves its last slot readable.
 */
import { createHash } from 'node:crypto';
import { ByteReader, ByteWriter, MalformedRecord, wordAt } from '../bytes.ts';
import type { Lease, Read, Slot } from '../protocol/blocks.ts';
import { maxNodes, readLedger, readSwitches, readTruth, readVms, roles } from '../records.ts';
import { writeLedger, writeSwitches, writeVms } from '../records.ts';

export const blockBytes = 4096;
export const formatVersion = 2;
export const slotCount = maxNodes;
/** Block numbers. */
export const leaseBlock = 16;
export const firstHeadBlock = 64;
/** Each slot has two of them, so that the one to which its head leads is never written. */
export const overflowBlocks = 7;
const firstOverflowBlock = firstHeadBlock + slotCount;
export const diskBytes = blockBytes * (firstOverflowBlock + slotCount * 2 * overflowBlocks);

export interface DiskHeader {
  /** 32 hexadecimal digits, new with every format. */
  readonly diskId: string;
  readonly cluster: string;
}

/** A block begins with kind (4), version (2), a number that depends on the kind (2), length of the contents (4), 4 zeros. */
const prefixBytes = 16;
const checksumBytes = 32;
const contentsAt = prefixBytes + checksumBytes;
const headRoom = blockBytes - contentsAt;
export const maxSlotBytes = headRoom + overflowBlocks * blockBytes;

type Kind = 'cxmH' | 'cxmL' | 'cxmS';

/** Block 0. */
export function encodeHeader({ diskId, cluster }: DiskHeader): Buffer {
  const writer = new ByteWriter(headRoom);
  writer.raw(Buffer.from(diskId, 'hex')).u32(blockBytes).u16(slotCount).u16(leaseBlock).u16(firstHeadBlock);
  writer.u16(firstOverflowBlock).u16(overflowBlocks).text(cluster);
  return encodeBlock('cxmH', '', 0, writer.done()).head;
}

/** @returns undefined if it is no header of ours; 'torn' if it looks like one and isn't whole */
export function decodeHeader(block: Buffer): DiskHeader | 'torn' | 'version' | undefined {
  if (block.toString('latin1', 0, 4) !== 'cxmH') return undefined;
  if (block.readUInt16BE(4) !== formatVersion) return 'version';
  try {
    const reader = new ByteReader(contentsOf(block, '', undefined));
    const diskId = reader.raw(16).toString('hex');
    const geometry = [reader.u32(), reader.u16(), reader.u16(), reader.u16(), reader.u16(), reader.u16()];
    const expected = [blockBytes, slotCount, leaseBlock, firstHeadBlock, firstOverflowBlock, overflowBlocks];
    if (!geometry.every((value, index) => value === expected[index])) return 'version';
    const cluster = reader.text();
    reader.end();
    return { diskId, cluster };
  } catch (error) {
    if (error instanceof MalformedRecord) return 'torn';
    throw error;
  }
}

export function encodeLease(diskId: string, lease: Lease): Buffer {
  const writer = new ByteWriter(headRoom);
  writer.u64(lease.epoch).u16(lease.owner).u64(lease.incarnation).u64(lease.sequence);
  writer.u8(lease.released ? 1 : 0);
  writeLedger(writer, lease.ledger);
  return encodeBlock('cxmL', diskId, 0, writer.done()).head;
}

export function decodeLease(diskId: string, block: Buffer): Read<Lease> {
  return decoded(block, 'cxmL', () => {
    const reader = new ByteReader(contentsOf(block, diskId, undefined));
    const lease = {
      epoch: reader.u64(),
      owner: nodeIndex(reader.u16()),
      incarnation: reader.u64(),
      sequence: reader.u64(),
      released: readTruth(reader),
      ledger: readLedger(reader),
    };
    reader.end();
    return lease;
  });
}

export interface EncodedSlot {
  readonly head: Buffer;
  /** Whole blocks, to be written before the head; empty if everything is in the head. */
  readonly overflow: Buffer;
}

/** @param area 0 or 1: where what doesn't fit into the head goes. @throws RangeError for a slot over maxSlotBytes */
export function encodeSlot(diskId: string, slot: Slot, area: 0 | 1): EncodedSlot {
  const writer = new ByteWriter(maxSlotBytes);
  writer.u16(slot.index).text(slot.name).u64(slot.incarnation).u64(slot.sequence).u64(slot.epoch);
  writer.u8(roles.indexOf(slot.role)).u8(flagsOf(slot)).u32(slot.watchdogMs);
  writeSwitches(writer, slot.switches);
  writeLedger(writer, slot.ledger);
  writeVms(writer, slot.vms);
  return encodeBlock('cxmS', diskId, area, writer.done());
}

function flagsOf({ maintenance, partial }: SlotFlags): number {
  return (maintenance ? 1 : 0) | (partial ? 4 : 0);
}

type SlotFlags = Pick<Slot, 'maintenance' | 'partial'>;

function ofFlags(flags: number): SlotFlags {
  return { maintenance: (flags & 1) !== 0, partial: (flags & 4) !== 0 };
}

/** Where the rest of a slot is, if its head leads to one. */
export function overflowOf(head: Buffer): { readonly area: 0 | 1; readonly bytes: number } | undefined {
  if (head.toString('latin1', 0, 4) !== 'cxmS') return undefined;
  const bytes = head.readUInt32BE(8) - headRoom;
  const area = head.readUInt16BE(6);
  return bytes > 0 && bytes <= overflowBlocks * blockBytes && (area === 0 || area === 1) ? { area, bytes } : undefined;
}

export function overflowBlock(index: number, area: 0 | 1): number {
  return firstOverflowBlock + (2 * index + area) * overflowBlocks;
}

/** @param overflow what is in the area to which the head leads */
export function decodeSlot(diskId: string, index: number, head: Buffer, overflow: Buffer | undefined): Read<Slot> {
  return decoded(head, 'cxmS', () => {
    const reader = new ByteReader(contentsOf(head, diskId, overflow));
    const own = nodeIndex(reader.u16());
    if (own !== index) throw new MalformedRecord('the slot of another node');
    const start = {
      index,
      name: reader.text(),
      incarnation: reader.u64(),
      sequence: reader.u64(),
      epoch: reader.u64(),
    };
    const role = wordAt(roles, reader.u8());
    const flags = reader.u8();
    const watchdogMs = reader.u32();
    const switches = readSwitches(reader);
    const ledger = readLedger(reader);
    const vms = readVms(reader);
    reader.end();
    return { ...start, role, ...ofFlags(flags), watchdogMs, switches, ledger, vms };
  });
}

function encodeBlock(kind: Kind, diskId: string, number: number, contents: Buffer): EncodedSlot {
  const head = Buffer.alloc(blockBytes);
  head.write(kind, 0, 'latin1');
  head.writeUInt16BE(formatVersion, 4);
  head.writeUInt16BE(number, 6);
  head.writeUInt32BE(contents.length, 8);
  checksum(diskId, head, contents).copy(head, prefixBytes);
  contents.copy(head, contentsAt, 0, headRoom);
  const rest = contents.subarray(headRoom);
  const overflow = Buffer.alloc(Math.ceil(rest.length / blockBytes) * blockBytes);
  rest.copy(overflow);
  return { head, overflow };
}

/** @throws MalformedRecord when the checksum says that it isn't what was written */
function contentsOf(head: Buffer, diskId: string, overflow: Buffer | undefined): Buffer {
  const length = head.readUInt32BE(8);
  if (length > headRoom + (overflow?.length ?? 0)) throw new MalformedRecord('too long');
  const inHead = head.subarray(contentsAt, contentsAt + Math.min(length, headRoom));
  const rest = length - inHead.length;
  const contents = rest === 0 ? inHead : Buffer.concat([inHead, overflow?.subarray(0, rest) ?? Buffer.alloc(0)]);
  const said = head.subarray(prefixBytes, contentsAt);
  if (!checksum(diskId, head, contents).equals(said)) throw new MalformedRecord('wrong checksum');
  return contents;
}

/** A block of another disk has another one. */
function checksum(diskId: string, head: Buffer, contents: Buffer): Buffer {
  const hash = createHash('sha256').update(Buffer.from(diskId, 'hex'));
  return hash.update(head.subarray(0, prefixBytes)).update(contents).digest();
}

function decoded<T>(block: Buffer, kind: Kind, decode: () => T): Read<T> {
  if (isZero(block)) return 'empty';
  if (block.toString('latin1', 0, 4) !== kind || block.readUInt16BE(4) !== formatVersion) return 'torn';
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedRecord) return 'torn';
    throw error;
  }
}

const zeros = Buffer.alloc(blockBytes);

export function isZero(block: Buffer): boolean {
  return block.equals(zeros);
}

function nodeIndex(index: number): number {
  if (index >= maxNodes) throw new MalformedRecord('no such node');
  return index;
}
