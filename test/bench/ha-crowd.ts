/**
 * Nodes that are none, for one real cxmd that is to be their master: each writes its slot and sends its heartbeat each second,
 * with the real code and the sizes of a cluster of that size. They decide nothing and hear nothing.
 */
import { createSocket, type Socket } from 'node:dgram';
import { HeartbeatDisk } from '../../src/ha/disk/heartbeat-disk.ts';
import { emptyLedger, noSwitches, type Datagram, type Slot } from '../../src/ha/protocol/blocks.ts';
import { sealDatagram } from '../../src/ha/wire/datagram.ts';
import { cluster, vmName, type BenchDaemons } from './ha-daemons.ts';

const periodMs = 1000;

export function slotOf(names: readonly string[], index: number, sequence: number, vms: number): Slot {
  const name = names[index] ?? '';
  return {
    ...{ index, name, incarnation: 1, sequence, epoch: 1, role: 'passive', maintenance: false, watchdogMs: 0 },
    partial: false,
    vms: Array.from({ length: vms }, (_, at) => ({ name: vmName(name, at), phase: 'running' })),
    ledger: emptyLedger(names.length),
    switches: noSwitches(),
  };
}

export function datagramOf(nodes: number, from: number, sequence: number, diskId: string): Datagram {
  const heardAgeMs = Array.from({ length: nodes }, (_, at) => (at === from ? -1 : (at * 37) % 1000));
  const said = { role: 'passive', state: 'normal', switches: noSwitches() } as const;
  return {
    from,
    incarnation: 1,
    sequence,
    epoch: 1,
    ballot: 1031,
    slotSequence: Math.max(0, sequence - 1),
    unlisted: false,
    diskId,
    heardAgeMs,
    ...said,
  };
}

/** All nodes but the first. @returns what ends them */
export async function gather(daemons: BenchDaemons, vms: number): Promise<() => void> {
  const { names, diskId, disk: path, port } = daemons;
  const key = daemons.key();
  const sockets: Socket[] = [];
  const disks: HeartbeatDisk[] = [];
  const timers: NodeJS.Timeout[] = [];
  for (let index = 1; index < names.length; index += 1) {
    const socket = createSocket('udp4');
    await new Promise((resolve) => socket.bind(port, daemons.address(index), () => resolve(undefined)));
    sockets.push(socket);
    const disk = HeartbeatDisk.open(path, cluster);
    disks.push(disk);
    let sequence = 0;
    const beat = (): void => {
      sequence += 2;
      disk.writeSlot(slotOf(names, index, sequence, vms));
      const bytes = sealDatagram(datagramOf(names.length, index, sequence + 1, diskId), cluster, key);
      socket.send(bytes, port, daemons.address(0), () => undefined);
    };
    // Spread over the second, as those of machines are.
    const begin = (): void => void timers.push(setInterval(beat, periodMs));
    timers.push(setTimeout(begin, (index * periodMs) / names.length));
  }
  return () => {
    for (const timer of timers) clearInterval(timer);
    for (const end of [...sockets, ...disks]) end.close();
  };
}
