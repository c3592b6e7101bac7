/**
 * The thread that waits for the heartbeat disk, so that nobody else has to. One order after the other, each answered once;
 * an order to a disk that hangs is answered when it wakes, or never. After a read that has failed the disk is opened anew, for
 * the orders to come.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { asCxmError, CxmError } from '../../errors.ts';
import { bootClock, type BootClock } from '../effects/boot-clock.ts';
import type { Lease, Read, Slot } from '../protocol/blocks.ts';
import { HeartbeatDisk } from './heartbeat-disk.ts';

export interface DiskWorkerData {
  readonly path: string;
  readonly cluster: string;
}

export type DiskOrder =
  | { readonly kind: 'read' }
  | { readonly kind: 'write-slot'; readonly slot: Slot }
  | { readonly kind: 'write-lease'; readonly lease: Lease }
  | { readonly kind: 'mend-slot'; readonly slot: Slot; readonly notAfterMs: number };

/** Only what differs from the last answer of the kind. */
export interface DiskNews {
  readonly lease: Read<Lease>;
  readonly slots: readonly (readonly [number, Read<Slot>])[];
}

export type DiskAnswer =
  | { readonly kind: 'open'; readonly diskId: string }
  | { readonly kind: 'done'; readonly news?: DiskNews }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly hint: string };

export function runDiskWorker(): void {
  const port = parentPort;
  if (port === null) throw new Error('the disk worker is no program of its own');
  const answer = (value: DiskAnswer): void => port.postMessage(value);
  const { path, cluster } = workerData as DiskWorkerData;
  attempt(answer, () => {
    let disk = HeartbeatDisk.open(path, cluster);
    const told: Read<Slot>[] = [];
    port.on('message', (order: DiskOrder) => {
      attempt(answer, () => {
        try {
          answer(carryOut(disk, order, told));
        } catch (error) {
          if (order.kind === 'read') disk = openAgain(disk);
          throw error;
        }
      });
    });
    answer({ kind: 'open', diskId: disk.header.diskId });
  });
}

function carryOut(disk: HeartbeatDisk, order: DiskOrder, told: Read<Slot>[]): DiskAnswer {
  if (order.kind === 'write-slot') disk.writeSlot(order.slot);
  else if (order.kind === 'write-lease') disk.writeLease(order.lease);
  else if (order.kind === 'mend-slot') mend(disk, order);
  if (order.kind !== 'read') return { kind: 'done' };
  const { lease, slots } = disk.read();
  const changed = slots.flatMap((slot, index) => (told[index] === slot ? [] : [[index, slot] as const]));
  for (const [index, slot] of changed) told[index] = slot;
  return { kind: 'done', news: { lease, slots: changed } };
}

/** The old one where that can't be done: what is wrong with it is told by the order that has failed. */
function openAgain(disk: HeartbeatDisk): HeartbeatDisk {
  try {
    const other = disk.reopened();
    disk.close();
    return other;
  } catch {
    return disk;
  }
}

let clock: BootClock | undefined;

/** The order may have waited for the storage: what it was decided on is looked at just before, and so is the clock. */
function mend(disk: HeartbeatDisk, { slot, notAfterMs }: Extract<DiskOrder, { kind: 'mend-slot' }>): void {
  clock ??= bootClock();
  if (clock() > notAfterMs) throw new CxmError('REFUSED', 'it was too late to begin');
  disk.mendSlot(slot);
}

function attempt(answer: (value: DiskAnswer) => void, work: () => void): void {
  try {
    work();
  } catch (error) {
    const { code, message, hint } = asCxmError(error);
    answer({ kind: 'failed', code, message, hint });
  }
}
