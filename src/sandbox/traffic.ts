/**
 * What travelled between the machines of a sandbox: cxm-host of each node appends one line an operation, and whoever
 * makes a call reads the lines that have come since.
 */
import { readFileSync, statSync } from 'node:fs';

export interface TrafficLine {
  readonly node: string;
  readonly operation: string;
  readonly toHost: number;
  readonly fromHost: number;
}

/** Where the file ends now. */
export function trafficEnd(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** What was written behind `start`. */
export function trafficSince(path: string, start: number): readonly TrafficLine[] {
  if (trafficEnd(path) <= start) return [];
  const text = readFileSync(path).subarray(start).toString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TrafficLine);
}

/** Bytes that crossed the network, protocol included. */
export function bytesOf(lines: readonly TrafficLine[]): number {
  return lines.reduce((sum, { toHost, fromHost }) => sum + toHost + fromHost, 0);
}
