/**
 * Calls that another process made in the same sandbox (onevm, when the hook runs it): appended to a file there, read here.
 */
import { appendFileSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from '../layout.ts';
import type { CallResult } from '../one/calls.ts';

export function journalPath(layout: Layout): string {
  return join(layout.oned, 'calls');
}

export function writeCall(layout: Layout, result: CallResult): void {
  appendFileSync(journalPath(layout), `${JSON.stringify(result)}\n`);
}

/** Where the journal ends now. */
export function journalEnd(layout: Layout): number {
  return statSync(journalPath(layout), { throwIfNoEntry: false })?.size ?? 0;
}

export function callsSince(layout: Layout, start: number): readonly CallResult[] {
  if (journalEnd(layout) <= start) return [];
  const lines = readFileSync(journalPath(layout)).subarray(start).toString().split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as CallResult);
}
