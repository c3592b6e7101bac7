/** What processes use while nothing happens: time of the CPU and resident memory, as the kernel counts them (proc(5)). */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Use {
  /** Of one core. Programs that the process starts are not in it. */
  readonly percent: number;
  readonly megabytes: number;
}

const watchMs = 60_000;

/** Of all of them over the same minute. */
export async function measureIdle(processIds: readonly number[]): Promise<readonly Use[]> {
  const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  const before = processIds.map(ticksOf);
  const from = performance.now();
  await sleep(watchMs);
  const seconds = (performance.now() - from) / 1000;
  return processIds.map((processId, index) => ({
    percent: ((ticksOf(processId) - (before[index] ?? 0)) / ticksPerSecond / seconds) * 100,
    megabytes: (Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${processId}/status`, 'utf8'))?.[1]) * 1024) / 1e6,
  }));
}

/** Fields 14 and 15: in the program and in the kernel, of all its threads. */
function ticksOf(processId: number): number {
  const stat = readFileSync(`/proc/${processId}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
