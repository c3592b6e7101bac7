/** The recordings of real xl 4.17 under test/fixtures/xen: what was called, its exit code and what it wrote. */
import { readFileSync } from 'node:fs';

export interface Recording {
  readonly command: string;
  /** Undefined for the recordings of a poll. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param name without `.txt`: `xl-4.17-list-paused` */
export function recording(name: string): Recording {
  const text = readFileSync(new URL(`../fixtures/xen/${name}.txt`, import.meta.url), 'utf8');
  const [head = '', output = ''] = text.split('# ---- stdout\n');
  const [stdout = '', stderr = ''] = output.split('# ---- stderr\n');
  const exit = /^# exit: (\d+)$/m.exec(head)?.[1];
  return {
    command: /^# command: (.*)$/m.exec(head)?.[1] ?? '',
    exitCode: exit === undefined ? undefined : Number(exit),
    stdout,
    stderr,
  };
}

/** The rows of a poll, as one list without its dates. */
export function polledRows(name: string): string {
  const text = readFileSync(new URL(`../fixtures/xen/${name}.txt`, import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => /^\S+ +\d+ +\d+ +\d+ +[-rbpscwSd]{6} /.test(line));
  return ['Name ID', ...rows].join('\n');
}
