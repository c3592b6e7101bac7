/**
 * Measuring inside the lab: rival and ours in turn, each from the same state of the machine, and what really goes into
 * the connection.
 */
import { appendFileSync, chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchHost } from './hosts.ts';
import { say } from './say.ts';

export interface Contestant {
  readonly label: string;
  /** Brings the host to the state before the run; not timed. */
  prepare(): Promise<void>;
  /** What is timed: to its end, with the data durable where it went. */
  run(): Promise<void>;
}

/**
 * Seconds of each round, by contestant: they take turns within a round, so that a change of the machine's mood hits
 * all of them; a round begins with a different one each time.
 */
export async function race(
  host: BenchHost,
  rounds: number,
  contestants: readonly Contestant[],
): Promise<readonly (readonly number[])[]> {
  const seconds = contestants.map((): number[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < contestants.length; turn += 1) {
      const index = (round + turn) % contestants.length;
      const contestant = contestants[index];
      if (contestant === undefined) throw new Error('no such contestant');
      await contestant.prepare();
      await host.settle();
      const taken = await timed(() => contestant.run());
      seconds[index]?.push(taken);
      say(`round ${round + 1}: ${contestant.label}: ${taken.toFixed(2)} s`);
    }
  }
  return seconds;
}

/** Seconds of wall-clock time. */
export async function timed(work: () => Promise<void>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

export interface WireBytes {
  /** Given to ssh and got from it: the payload of the connection. */
  readonly payload: number;
  /** What the network interface to the host counted both ways, with ssh's, TCP's, IP's and Ethernet's overhead. */
  readonly interface: number;
}

const wrapper = '/usr/local/bin/ssh';
const countsFile = '/run/cxm-bench-wire';

/** Stands before ssh in the frontend's PATH and counts what goes in and comes out. */
const wrapperText = `#!/bin/bash
set -o pipefail
tee >(wc -c >>${countsFile}) | /usr/bin/ssh "$@" | tee >(wc -c >>${countsFile})
`;

/** Bytes between the frontend and a host while `work` runs; nothing else may talk to it meanwhile. */
export async function wireBytes({ wire }: BenchHost, work: () => Promise<void>): Promise<WireBytes> {
  writeFileSync(countsFile, '');
  chmodSync(countsFile, 0o666);
  writeFileSync(wrapper, wrapperText);
  chmodSync(wrapper, 0o755);
  try {
    const before = interfaceBytes(wire);
    await work();
    const after = interfaceBytes(wire);
    await sleep(300); // the counters of the last connection
    appendFileSync(countsFile, '');
    const counts = readFileSync(countsFile, 'utf8').trim().split('\n').map(Number);
    return { payload: counts.reduce((sum, count) => sum + count, 0), interface: after - before };
  } finally {
    rmSync(wrapper);
  }
}

function interfaceBytes({ interface: name, columns }: BenchHost['wire']): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((other) => other.trim().startsWith(`${name}:`));
  const counters = line?.split(':')[1]?.trim().split(/\s+/).map(Number) ?? [];
  return columns.reduce((sum, column) => sum + (counters[column] ?? Number.NaN), 0);
}
