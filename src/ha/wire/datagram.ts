/**
 * A heartbeat as bytes: docs/ha-network.md. Pure but for the hash.
 *
 * Guarantees: what `openDatagram` returns was made by somebody who has a key of this cluster, whole and unchanged; all else
 * is a word that says why not, so that it can be counted. It never throws, whatever it is given.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { ByteReader, ByteWriter, MalformedRecord, wordAt } from '../bytes.ts';
import type { Datagram } from '../protocol/blocks.ts';
import { bounded, clusterStates, readSwitches, readTruth, roles, writeSwitches } from '../records.ts';
import type { ClusterKey } from './cluster-key.ts';

/** No datagram of ours is larger, so none is ever cut into fragments. */
export const maxDatagramBytes = 1024;
const magic = 'cxmD';
const wireVersion = 2;
const prefixBytes = 16;
const macBytes = 32;
const never = 0xffff_ffff;

export type Rejection = 'size' | 'foreign' | 'version' | 'cluster' | 'key' | 'malformed';

/** The key comes from a list in the order of its file: the first one signs. */
export function sealDatagram(datagram: Datagram, cluster: string, key: ClusterKey): Buffer {
  const writer = new ByteWriter(maxDatagramBytes);
  writer
    .raw(Buffer.from(magic))
    .u8(wireVersion)
    .u16(key.id >> 8)
    .u8(key.id & 255)
    .raw(clusterTag(cluster));
  writer.u16(datagram.from).u64(datagram.incarnation).u64(datagram.sequence);
  writer.u8(roles.indexOf(datagram.role)).u8(clusterStates.indexOf(datagram.state)).u64(datagram.epoch);
  writeSwitches(writer, datagram.switches);
  writer
    .u32(datagram.ballot)
    .u64(datagram.slotSequence)
    .u8(datagram.unlisted ? 1 : 0)
    .raw(Buffer.from(datagram.diskId, 'hex'));
  writer.u8(datagram.heardAgeMs.length);
  for (const ageMs of datagram.heardAgeMs) writer.u32(ageMs < 0 ? never : Math.min(ageMs, never - 1));
  const mac = createHmac('sha256', key.datagrams).update(writer.done()).digest();
  return Buffer.from(writer.raw(mac).done());
}

export function openDatagram(bytes: Buffer, cluster: string, keys: readonly ClusterKey[]): Datagram | Rejection {
  if (bytes.length > maxDatagramBytes || bytes.length < prefixBytes + macBytes) return 'size';
  if (bytes.toString('latin1', 0, 4) !== magic) return 'foreign';
  if (bytes[4] !== wireVersion) return 'version';
  if (!bytes.subarray(8, prefixBytes).equals(clusterTag(cluster))) return 'cluster';
  const key = keys.find(({ id }) => id === bytes.readUIntBE(5, 3));
  if (key === undefined) return 'key';
  const signed = bytes.subarray(0, -macBytes);
  const mac = createHmac('sha256', key.datagrams).update(signed).digest();
  if (!timingSafeEqual(mac, bytes.subarray(-macBytes))) return 'key';
  try {
    return decode(new ByteReader(signed.subarray(prefixBytes)));
  } catch (error) {
    if (error instanceof MalformedRecord) return 'malformed';
    throw error;
  }
}

function decode(reader: ByteReader): Datagram {
  const start = { from: bounded(reader.u16() + 1) - 1, incarnation: reader.u64(), sequence: reader.u64() };
  const role = wordAt(roles, reader.u8());
  const state = wordAt(clusterStates, reader.u8());
  const epoch = reader.u64();
  const switches = readSwitches(reader);
  const ballot = reader.u32();
  const slotSequence = reader.u64();
  const unlisted = readTruth(reader);
  const diskId = reader.raw(16).toString('hex');
  const rest = { ballot, slotSequence, unlisted, diskId };
  const ages = Array.from({ length: bounded(reader.u8()) }, () => reader.u32());
  reader.end();
  return { ...start, role, state, epoch, switches, ...rest, heardAgeMs: ages.map((age) => (age === never ? -1 : age)) };
}

let tagOf = '';
let tag = Buffer.alloc(0);

/** Tells clusters apart; it is no secret. */
function clusterTag(cluster: string): Buffer {
  if (tagOf !== cluster) {
    tag = createHash('sha256').update(`cxm cluster\0${cluster}`).digest().subarray(0, 8);
    tagOf = cluster;
  }
  return tag;
}
