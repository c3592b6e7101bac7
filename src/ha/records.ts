/**
 * The parts that slots, leases and datagrams have in common, as bytes. The numbers of words and bits are part of the
 * formats (docs/ha-disk.md): they are never given another meaning.
 */
import type { ByteReader, ByteWriter } from './bytes.ts';
import { MalformedRecord } from './bytes.ts';
import type { ClusterState, Ledger, Role, Switches, VmEntry } from './protocol/blocks.ts';

/** Nodes of a cluster, and slots of a heartbeat disk. */
export const maxNodes = 64;

export const roles: readonly Role[] = ['alone', 'joining', 'passive', 'active', 'voting', 'leaving'];
export const clusterStates: readonly ClusterState[] = ['normal', 'recovery', 'panic'];
const phases: readonly VmEntry['phase'][] = ['running', 'starting', 'incoming'];

/** 18 bytes: for panic and for disarmed the version (8) and 1 for on (1). */
export function writeSwitches(writer: ByteWriter, { panic, disarmed }: Switches): void {
  for (const { version, on } of [panic, disarmed]) writer.u64(version).u8(on ? 1 : 0);
}

export function readSwitches(reader: ByteReader): Switches {
  const next = (): Switches['panic'] => ({ version: reader.u64(), on: readTruth(reader) });
  const panic = next();
  return { panic, disarmed: next() };
}

/** Three times: how many numbers (1), then so many (8 each). Zeros at the end are left out. */
export function writeLedger(writer: ByteWriter, { fenced, recovered, excluded }: Ledger): void {
  for (const list of [fenced, recovered, excluded]) {
    const length = list.findLastIndex((value) => value !== 0) + 1;
    writer.u8(length);
    for (const value of list.slice(0, length)) writer.u64(value);
  }
}

export function readLedger(reader: ByteReader): Ledger {
  const next = (): readonly number[] => Array.from({ length: bounded(reader.u8()) }, () => reader.u64());
  const fenced = next();
  const recovered = next();
  return { fenced, recovered, excluded: next() };
}

/** How many VMs (2); of each the phase (1) and the name (2 and its bytes). */
export function writeVms(writer: ByteWriter, vms: readonly VmEntry[]): void {
  writer.u16(vms.length);
  for (const { name, phase } of vms) writer.u8(phases.indexOf(phase)).text(name);
}

export function readVms(reader: ByteReader): readonly VmEntry[] {
  return Array.from({ length: reader.u16() }, () => {
    const phase = phases[reader.u8()];
    if (phase === undefined) throw new MalformedRecord('a VM is in no phase');
    return { phase, name: reader.text() };
  });
}

export function readTruth(reader: ByteReader): boolean {
  const value = reader.u8();
  if (value > 1) throw new MalformedRecord('neither true nor false');
  return value === 1;
}

export function bounded(count: number): number {
  if (count > maxNodes) throw new MalformedRecord('more nodes than there can be');
  return count;
}
