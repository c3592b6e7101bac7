/**
 * Measuring inside the lab: rival and ours in turn, each from the same state of the machine, and what really goes into
 * the connection.
 */
import { appendFileSync, chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { lab } from '../lab/lab.ts';
import { nodeLayout } from '../lab/layout.ts';
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
      await settle();
      const taken = await timed(() => contestant.run());
      seconds[index]?.push(taken);
      say(`round ${round + 1}: ${contestant.label}: ${taken.toFixed(2)} s`);
    }
  }
  return seconds;
}

/**
 * sshd's buffers grow in many steps, each of which gets new memory from the kernel, and a page fault of an emulated
 * kernel costs fifty times that of a real one: every connection would stand still for two to four seconds after its
 * first 2 MiB, whoever uses it. With the allocator told to take memory in large pieces and to keep it, that is gone.
 */
const sshdMemory = ['mmap_threshold=1073741824', 'trim_threshold=1073741824', 'top_pad=33554432'];

/** Once for each start of a node. */
export async function prepareNode(): Promise<void> {
  const tunables = sshdMemory.map((setting) => `glibc.malloc.${setting}`).join(':');
  const restart = [
    'pkill -o -x sshd',
    'sleep 0.2',
    `GLIBC_TUNABLES=${tunables} /usr/sbin/sshd -f /etc/lab/sshd_config -E /var/log/sshd.log`,
    'touch /run/cxm-bench',
  ];
  await lab.node('node1', `[ -e /run/cxm-bench ] || { ${restart.join(' && ')}; }`);
}

/**
 * Nothing is left to be written from before, and nothing of the SAN's disk is in the host's memory. Programs stay in it,
 * as on a host that is monitored every minute.
 */
async function settle(): Promise<void> {
  await lab.node(
    'node1',
    'sync; for d in /dev/ubda /dev/VG0/*; do blockdev --flushbufs $d || true; done 2>/dev/null; sleep 0.3',
  );
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
  /** Both directions of the host's network interface, with ssh's, TCP's, IP's and Ethernet's overhead. */
  readonly interface: number;
}

const wrapper = '/usr/local/bin/ssh';
const countsFile = '/run/cxm-bench-wire';

/** Stands before ssh in the frontend's PATH and counts what goes in and comes out. */
const wrapperText = `#!/bin/bash
set -o pipefail
tee >(wc -c >>${countsFile}) | /usr/bin/ssh "$@" | tee >(wc -c >>${countsFile})
`;

/** Bytes between the frontend and node1 while `work` runs; nothing else may talk to that node meanwhile. */
export async function wireBytes(work: () => Promise<void>): Promise<WireBytes> {
  writeFileSync(countsFile, '');
  chmodSync(countsFile, 0o666);
  writeFileSync(wrapper, wrapperText);
  chmodSync(wrapper, 0o755);
  try {
    const before = interfaceBytes();
    await work();
    const after = interfaceBytes();
    await sleep(300); // the counters of the last connection
    appendFileSync(countsFile, '');
    const counts = readFileSync(countsFile, 'utf8').trim().split('\n').map(Number);
    return { payload: counts.reduce((sum, count) => sum + count, 0), interface: after - before };
  } finally {
    rmSync(wrapper);
  }
}

function interfaceBytes(): number {
  const { tap } = nodeLayout('node1');
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((other) => other.trim().startsWith(`${tap}:`));
  // Received bytes are the first column, transmitted the ninth.
  const columns = line?.split(':')[1]?.trim().split(/\s+/).map(Number);
  return (columns?.[0] ?? Number.NaN) + (columns?.[8] ?? Number.NaN);
}
