/**
 * What starting our programs costs on this machine, against a Node that does nothing at all: an action that ends right
 * after it has read its configuration and arguments; a whole action with a host that answers at once, so that all of
 * its time is its own; and the helper of the hosts with nothing to do.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { answeringHost, oneRequest } from '../../scripts/answering-host.ts';
import { checkout } from '../lab/layout.ts';
import { side, type Row } from './results.ts';
import { say } from './say.ts';

interface Program {
  readonly id: string;
  readonly label: string;
  readonly argv: readonly string[];
  readonly exitCode: number;
  /** What it must say: an action that fails for another reason would be measured wrongly. */
  readonly says: RegExp;
}

/** Rows for the transfer manager, the virtual machine manager and the helper. @param runs timed starts of each */
export function measureStart(runs: number): Row[] {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-bench-'));
  try {
    const [remotes, commands] = [join(directory, 'remotes'), join(directory, 'bin')];
    cpSync(join(checkout, 'dist/remotes'), remotes, { recursive: true });
    writeFileSync(join(remotes, 'cxmrc'), 'VG_NAME="VG0"\n');
    mkdirSync(commands);
    writeFileSync(join(commands, 'ssh'), answeringHost, { mode: 0o755 });
    const path = [commands, process.env['PATH']].join(delimiter);
    const programs = programsIn(remotes);
    return toRows(runs, programs, alternate(runs, programs, path));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function programsIn(remotes: string): readonly Program[] {
  const argumentError = { exitCode: 1, says: /clone|poll/ };
  const quiet = { exitCode: 0, says: /^$/ };
  return [
    { id: 'node', label: 'node -e 0', argv: [process.execPath, '-e', '0'], ...quiet },
    {
      id: 'tm-arguments',
      label: 'tm/cxm/clone, refusing its arguments',
      argv: [join(remotes, 'tm/cxm/clone'), 'x'],
      ...argumentError,
    },
    {
      id: 'tm-action',
      label: 'tm/cxm/mkswap, the host answering at once',
      argv: [join(remotes, 'tm/cxm/mkswap'), ...oneRequest],
      ...quiet,
    },
    {
      id: 'vmm-arguments',
      label: 'vmm/cxm/poll, refusing its arguments',
      argv: [join(remotes, 'vmm/cxm/poll')],
      ...argumentError,
    },
    { id: 'helper', label: 'cxm-host, without a request', argv: [join(checkout, 'dist/sbin/cxm-host')], ...quiet },
  ];
}

/** Seconds of each run of each program, in turns; the first round warms up and does not count. */
function alternate(runs: number, programs: readonly Program[], path: string): readonly (readonly number[])[] {
  const seconds = programs.map((): number[] => []);
  for (let round = 0; round <= runs; round += 1) {
    programs.forEach((program, index) => {
      const taken = runOnce(program, path);
      if (round > 0) seconds[index]?.push(taken);
    });
  }
  return seconds;
}

function runOnce({ argv, exitCode, says }: Program, path: string): number {
  const [program = '', ...args] = argv;
  const from = performance.now();
  const ended = spawnSync(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    env: { HOME: tmpdir(), PATH: path },
  });
  const seconds = (performance.now() - from) / 1000;
  if (ended.status === exitCode && says.test(ended.stderr)) return seconds;
  throw new Error(`${argv.join(' ')}: exit code ${ended.status}\n${ended.stderr}`);
}

function toRows(runs: number, programs: readonly Program[], seconds: readonly (readonly number[])[]): Row[] {
  const [nothing, ...others] = programs.map(({ id, label }, index) => ({ id, ...side(label, seconds[index] ?? []) }));
  if (nothing === undefined) throw new Error('no programs');
  for (const { label, value } of [nothing, ...others]) say(`${label}: ${(value * 1000).toFixed(0)} ms`);
  return others.map(({ id, ...ours }) => ({
    id: `start-${id}`,
    part: 'starting a program',
    what: `time, median of ${runs} starts`,
    unit: 'seconds',
    rival: nothing,
    ours,
    target: { kind: 'atMost', ratio: 2 },
  }));
}
