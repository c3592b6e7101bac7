/** The process that is a node, by its pid file. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeLayout, type NodeLayout, type NodeName } from './layout.ts';

/** Whether the node's kernel runs (or hangs). */
export function isRunning(name: NodeName): boolean {
  const { pidFile } = nodeLayout(name);
  if (!existsSync(pidFile)) return false;
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${readFileSync(pidFile, 'utf8')}/status`, 'utf8'));
  } catch {
    return false; // it may end at any moment
  }
}

/** Remembers the process that is a node; it must lead a process group of its own. */
export function noteProcess(node: NodeLayout, child: ChildProcess): void {
  if (child.pid === undefined) throw new Error(`${node.name}: ${child.spawnfile} could not be started`);
  child.unref();
  writeFileSync(node.pidFile, String(child.pid));
}

/** Ends the node's whole process group and waits until it is gone. */
export async function reap(name: NodeName): Promise<void> {
  const { pidFile } = nodeLayout(name);
  if (!existsSync(pidFile)) return;
  try {
    process.kill(-processId(name), 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
  while (isRunning(name)) await sleep(5);
  rmSync(pidFile);
}

export function processId(name: NodeName): number {
  const { pidFile } = nodeLayout(name);
  if (!existsSync(pidFile)) throw new Error(`${name} was not started`);
  return Number(readFileSync(pidFile, 'utf8'));
}
