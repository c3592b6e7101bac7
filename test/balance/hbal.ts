/**
 * Ganeti's balancer as a rival: a cluster state in the form of its text backend (see htools(1)), its run, its migrations.
 *
 * What is equal for both: nodes have no CPUs of their own and disks on storage that every node sees (template `ext`), so
 * that hbal may migrate to any node, as we may; CPU use goes in as dynamic load; VMs have no virtual CPUs, so that it need
 * not even out a number that we don't look at.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClusterState } from '../../src/balance/state.ts';

export interface HbalMove {
  readonly vm: string;
  readonly destination: string;
}

/** The version, or undefined if it isn't installed. */
export function hbalVersion(): string | undefined {
  try {
    return /version (\S+)/.exec(execFileSync('hbal', ['--version'], { encoding: 'utf8' }))?.[1];
  } catch {
    return undefined;
  }
}

export function hbalData({ nodes, vms }: ClusterState): { cluster: string; load: string } {
  const used = (node: string): number => vms.reduce((sum, vm) => sum + (vm.node === node ? vm.memoryMib : 0), 0);
  const nodeLines = nodes.map(({ name, memoryMib }) =>
    [name, memoryMib, 0, memoryMib - used(name), 1_000_000, 1_000_000, 64, 'N', 'uuid', 1, '', 'N', 0, 0, '1.0'].join(
      '|',
    ),
  );
  const vmLines = vms.map(({ name, node, memoryMib }) =>
    [name, memoryMib, 0, 0, 'running', 'Y', node, '', 'ext', '', 1, '-'].join('|'),
  );
  const specs = '128,1,0,1,1,1|1,0,0,0,0,0;67108864,512,10000000,16,8,12';
  const cluster = [
    'group|uuid|preferred||',
    '',
    ...nodeLines,
    '',
    ...vmLines,
    '',
    '',
    `|${specs}|ext|64|64`,
    `group|${specs}|ext|64|64`,
    '',
  ].join('\n');
  const highest = Math.max(1, ...vms.map(({ cpuPercent }) => cpuPercent));
  const load = vms.map(({ name, cpuPercent }) => `${name} ${(cpuPercent / highest).toFixed(6)} 0 0 0\n`).join('');
  return { cluster, load };
}

export interface HbalRun {
  readonly moves: readonly HbalMove[];
  readonly seconds: number;
}

/** @param maxMoves no limit when left out */
export function runHbal(state: ClusterState, maxMoves?: number): HbalRun {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-hbal-'));
  try {
    const { cluster, load } = hbalData(state);
    writeFileSync(join(directory, 'cluster'), cluster);
    writeFileSync(join(directory, 'load'), load);
    const limit = maxMoves === undefined ? [] : ['-l', String(maxMoves)];
    const words = ['-t', join(directory, 'cluster'), '-U', join(directory, 'load'), ...limit];
    const from = performance.now();
    const output = execFileSync('hbal', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const seconds = (performance.now() - from) / 1000;
    const lines = output.matchAll(/^ +\d+\. +(\S+) +\S+ +=> +(\S+) /gm);
    return { moves: [...lines].map(([, vm = '', destination = '']) => ({ vm, destination })), seconds };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
