/**
 * How long our programs take until they do something, on this machine: an action that ends right after configuration
 * and arguments were read, and the root helper with nothing to do, against a Node that does nothing at all.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkout } from '../lab/layout.ts';
import { side, type Row } from './results.ts';
import { say } from './say.ts';

const runs = 20;

interface Program {
  readonly label: string;
  readonly argv: readonly string[];
  readonly exitCode: number;
  /** What it must say: an action that fails for another reason would be measured wrongly. */
  readonly says: RegExp;
}

/** Rows for the transfer manager, the virtual machine manager and the helper. */
export function measureStart(): Row[] {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-bench-'));
  try {
    const remotes = join(directory, 'remotes');
    cpSync(join(checkout, 'dist/remotes'), remotes, { recursive: true });
    writeFileSync(join(remotes, 'cxmrc'), 'VG_NAME="VG0"\n');
    const helper = join(checkout, 'dist/sbin/cxm-host');
    const argumentError = { exitCode: 1, says: /clone|poll/ };
    const programs: readonly Program[] = [
      { label: 'node -e 0', argv: [process.execPath, '-e', '0'], exitCode: 0, says: /^$/ },
      { label: 'tm/cxm/clone, wrong arguments', argv: [join(remotes, 'tm/cxm/clone'), 'x'], ...argumentError },
      { label: 'vmm/cxm/poll, wrong arguments', argv: [join(remotes, 'vmm/cxm/poll')], ...argumentError },
      { label: 'cxm-host, no request', argv: [helper], exitCode: 0, says: /^$/ },
    ];
    return toRows(programs, alternate(programs));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Seconds of each run of each program, in turns; the first round warms up and does not count. */
function alternate(programs: readonly Program[]): readonly (readonly number[])[] {
  const seconds = programs.map((): number[] => []);
  for (let round = 0; round <= runs; round += 1) {
    programs.forEach((program, index) => {
      const taken = runOnce(program);
      if (round > 0) seconds[index]?.push(taken);
    });
  }
  return seconds;
}

function runOnce({ argv, exitCode, says }: Program): number {
  const [program = '', ...args] = argv;
  const from = performance.now();
  const ended = spawnSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  const seconds = (performance.now() - from) / 1000;
  if (ended.status === exitCode && says.test(ended.stderr)) return seconds;
  throw new Error(`${argv.join(' ')}: exit code ${ended.status}\n${ended.stderr}`);
}

function toRows(programs: readonly Program[], seconds: readonly (readonly number[])[]): Row[] {
  const [nothing, ...others] = programs.map(({ label }, index) => side(label, seconds[index] ?? []));
  if (nothing === undefined) throw new Error('no programs');
  for (const { label, value } of [nothing, ...others]) say(`${label}: ${(value * 1000).toFixed(0)} ms`);
  return others.map((ours) => ({
    id: `start-${ours.label.split(/[ ,]/)[0]?.replaceAll('/', '-') ?? ''}`,
    part: 'start of a program',
    what: `time, median of ${runs} runs`,
    unit: 'seconds',
    rival: nothing,
    ours,
    target: { kind: 'atMost', ratio: 2 },
  }));
}
