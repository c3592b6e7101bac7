/** What `npm run bench -- ha-load` measures, part by part: lines with the figure and, where there is one, its target. */
import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { HeartbeatDisk } from '../../src/ha/disk/heartbeat-disk.ts';
import { blockBytes, overflowOf, encodeSlot, slotCount } from '../../src/ha/disk/format.ts';
import { openDatagram, sealDatagram } from '../../src/ha/wire/datagram.ts';
import { soak } from '../ha/soak.ts';
import { datagramOf, gather, slotOf } from './ha-crowd.ts';
import { BenchDaemons, cluster, type Usage } from './ha-daemons.ts';
import { median } from './results.ts';
import { say } from './say.ts';

export interface LoadLine {
  readonly what: string;
  readonly value: string;
  readonly target: string;
  /** Undefined where there is no target. */
  readonly met: boolean | undefined;
}

export interface LoadPart {
  readonly title: string;
  readonly lines: readonly LoadLine[];
  readonly note?: string;
}

const size = { nodes: 32, vms: 60 } as const;
const diskId = '5a'.repeat(16);
const keyOf = (id: number) => ({ id, datagrams: Buffer.alloc(32, id), calls: Buffer.alloc(32, id) });

const shown = (what: string, value: string): LoadLine => ({ what, value, target: '', met: undefined });
const percent = (value: number): string => `${value.toFixed(2)} % of a core`;
const mib = (value: number): string => `${value.toFixed(0)} MiB`;

/** Microseconds of processor time for one, the median of five series. */
function costUs(times: number, work: (at: number) => void): number {
  const series = Array.from({ length: 6 }, () => {
    const before = process.cpuUsage();
    for (let at = 0; at < times; at += 1) work(at);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / times;
  });
  // The first one is for the compiler.
  return median(series.slice(1));
}

export function wire(quick: boolean): LoadPart {
  const times = quick ? 200 : 20_000;
  const right = keyOf(1);
  const bytes = (nodes: number): Buffer => sealDatagram(datagramOf(nodes, 1, 5, diskId), cluster, right);
  const genuine = bytes(size.nodes);
  const forged = sealDatagram(datagramOf(size.nodes, 1, 5, diskId), cluster, { ...keyOf(2), id: 1 });
  const foreign = sealDatagram(datagramOf(size.nodes, 1, 5, diskId), 'other', right);
  const us = (value: number): string => `${value.toFixed(1)} µs of a core`;
  const sendUs = costUs(times, (at) => sealDatagram(datagramOf(size.nodes, 1, at, diskId), cluster, right));
  const open = (data: Buffer) => costUs(times, () => openDatagram(data, cluster, [right]));
  return {
    title: 'Heartbeats',
    lines: [
      shown('bytes of one, 3 nodes', String(bytes(3).length)),
      shown(`bytes of one, ${size.nodes} nodes`, String(genuine.length)),
      shown('bytes of one, 64 nodes', String(bytes(64).length)),
      shown('making one', us(sendUs)),
      shown('taking one in', us(open(genuine))),
      shown('refusing one of another key', us(open(forged))),
      shown('refusing one of another cluster', us(open(foreign))),
    ],
    note: 'Without what the kernel takes for sending and receiving.',
  };
}

export function disk(quick: boolean): LoadPart {
  const daemons = new BenchDaemons(size.nodes, 0);
  try {
    const times = quick ? 3 : 100;
    const reader = HeartbeatDisk.open(daemons.disk, cluster);
    const writers = daemons.names.map(() => HeartbeatDisk.open(daemons.disk, cluster));
    let sequence = 0;
    const cost = { changed: 0, same: 0, write: 0 };
    const spend = (kind: keyof typeof cost, work: () => void): void => {
      const before = process.cpuUsage();
      work();
      const { user, system } = process.cpuUsage(before);
      cost[kind] += (user + system) / 1000;
    };
    for (let at = 0; at < times; at += 1) {
      sequence += 1;
      const slots = writers.map((_, index) => slotOf(daemons.names, index, sequence, size.vms));
      spend('write', () => writers.forEach((writer, index) => slots[index] && writer.writeSlot(slots[index])));
      spend('changed', () => void reader.read());
      spend('same', () => void reader.read());
    }
    for (const end of [reader, ...writers]) end.close();
    const { head, overflow } = encodeSlot(daemons.diskId, slotOf(daemons.names, 1, 1, size.vms), 0);
    const slotBytes = overflowOf(head)?.bytes ?? 0;
    const cycleBytes = (2 + slotCount) * blockBytes + size.nodes * overflow.length;
    const ms = (value: number): string => `${(value / times).toFixed(2)} ms of a core`;
    return {
      title: `Heartbeat disk, ${size.nodes} nodes × ${size.vms} VMs`,
      lines: [
        shown('bytes read in a second', `${(cycleBytes / 1024).toFixed(0)} KiB`),
        shown('bytes of a slot beyond its head', String(slotBytes)),
        shown('reading it, all slots changed', ms(cost.changed)),
        shown('reading it, none changed', ms(cost.same)),
        shown('writing one slot', ms(cost.write / size.nodes)),
      ],
      note: 'On a file of this machine: the time of the storage itself is that of your SAN.',
    };
  } finally {
    void daemons.end();
  }
}

/** One real cxmd as master; all others are a crowd with the real wire and disk code. */
export async function master(quick: boolean): Promise<LoadPart> {
  const daemons = new BenchDaemons(size.nodes, size.vms);
  let disperse = (): void => undefined;
  try {
    daemons.start(0);
    await daemons.settle();
    say(`one master: ${size.nodes - 1} nodes join it`);
    disperse = await gather(daemons, size.vms);
    await sleep(quick ? 5000 : 15_000);
    const [usage] = await daemons.measure(quick ? 5 : 60);
    const status = await daemons.status(0);
    if (usage === undefined || status?.role !== 'active') throw new Error(`it is no master:\n${daemons.logs()}`);
    return {
      title: `The master of ${size.nodes} nodes × ${size.vms} VMs`,
      lines: [...usageLines([usage], undefined), shown('state of the cluster in the end', status.state)],
      note: 'A real cxmd; the other nodes are made by one program with the real code of wire and disk.',
    };
  } finally {
    disperse();
    await daemons.end();
  }
}

/** Nothing but real cxmd, which share one processor with the programs that they start. */
export async function together(quick: boolean): Promise<LoadPart> {
  const nodes = quick ? 4 : size.nodes;
  const daemons = new BenchDaemons(nodes, size.vms, 0);
  try {
    for (let index = 0; index < nodes; index += 1) daemons.start(index);
    await daemons.settle();
    say(`${nodes} daemons are members`);
    await sleep(quick ? 3000 : 20_000);
    const before = await daemons.status(0);
    const usages = await daemons.measure(quick ? 5 : 60);
    const after = await daemons.status(0);
    const ofMaster = usages[daemons.names.indexOf(after?.master ?? '')];
    if (ofMaster === undefined) throw new Error(`there is no master:\n${daemons.logs()}`);
    const isCalm = after?.state === 'normal' && before?.epoch === after.epoch;
    return {
      title: `${nodes} cxmd × ${size.vms} VMs, all on one processor`,
      lines: [
        ...usageLines(usages, undefined),
        shown('processor of the master', percent(ofMaster.cpuPercent)),
        shown('processor of all together', percent(usages.reduce((sum, { cpuPercent }) => sum + cpuPercent, 0))),
        { what: 'normal, under the same master', value: isCalm ? 'yes' : 'no', target: 'yes', met: isCalm },
      ],
      note: 'The median of the daemons, and the worst.',
    };
  } finally {
    await daemons.end();
  }
}

function usageLines(usages: readonly Usage[], target: { percent: number; mib: number } | undefined): LoadLine[] {
  const worst = (pick: (usage: Usage) => number): number => Math.max(...usages.map(pick));
  const cpu = median(usages.map(({ cpuPercent }) => cpuPercent));
  const memory = worst(({ residentMib }) => residentMib);
  const cpuText = usages.length === 1 ? percent(cpu) : `${percent(cpu)}, worst ${percent(worst((u) => u.cpuPercent))}`;
  return [
    {
      what: 'processor',
      value: cpuText,
      target: target === undefined ? '' : `< ${target.percent} % of a core`,
      met: target === undefined ? undefined : cpu < target.percent,
    },
    {
      what: 'memory, resident',
      value: mib(memory),
      target: target === undefined ? '' : `< ${target.mib} MB`,
      met: target === undefined ? undefined : memory * 1.048_576 < target.mib,
    },
    shown('read in a second', `${worst(({ readKibASecond }) => readKibASecond).toFixed(0)} KiB`),
    shown(
      'processor of `xl list`, a stand-in, once a second',
      percent(worst(({ childrenPercent }) => childrenPercent)),
    ),
  ];
}

/** As many real ones as fit, up to 16: they share the machine with nothing else, and do nothing but their heartbeats. */
export async function idle(quick: boolean, asked: number | undefined): Promise<LoadPart> {
  const fit = Math.min(16, Math.floor(freemem() / (160 * 1024 * 1024)));
  const count = asked ?? (quick ? 3 : Math.max(2, fit));
  const daemons = new BenchDaemons(count, 0);
  try {
    for (let index = 0; index < count; index += 1) daemons.start(index);
    await daemons.settle();
    say(`${count} daemons are members`);
    await sleep(quick ? 3000 : 20_000);
    const usages = await daemons.measure(quick ? 5 : 60);
    const total = usages.reduce((sum, { cpuPercent }) => sum + cpuPercent, 0);
    return {
      title: `${count} idle cxmd on this machine, without VMs`,
      lines: [...usageLines(usages, { percent: 1, mib: 80 }), shown('processor of all together', percent(total))],
      note: 'The median of the daemons, and the worst; the master is among them.',
    };
  } finally {
    await daemons.end();
  }
}

export async function soaking(minutes: number, seed: number): Promise<LoadPart> {
  const lossPercent = 20;
  const progress = (text: string): void => say(`soak: ${text} of ${minutes}`);
  const result = await soak({ number: 83, durationMs: minutes * 60_000, lossPercent, seed, progress });
  for (const line of result.falseAlarms) say(`false alarm: ${line}`);
  const share = ((100 * result.lost) / Math.max(1, result.sent)).toFixed(1);
  return {
    title: `Three cxmd with ${lossPercent} % packet loss, ${minutes} minutes`,
    lines: [
      shown('heartbeats lost', `${result.lost} of ${result.sent}, ${share} %`),
      shown('channels noted as lost for a moment', String(result.channelNotes.length)),
      {
        what: 'false alarms: suspicions, elections, fencing',
        value: String(result.falseAlarms.length),
        target: '0',
        met: result.falseAlarms.length === 0,
      },
    ],
  };
}
