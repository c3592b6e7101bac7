/** When a long transfer says how far it is: each 10 % or 30 s, whichever comes first. Pure but for its own state. */
import { formatSize } from '../../config/size.ts';

const stepPercent = 10;
const stepMs = 30_000;

export interface Progress {
  /** The line to log, if one is due. Times by a monotonic clock, in ms. */
  advance(bytes: number, nowMs: number): string | undefined;
  /** The line that closes the transfer. */
  summary(nowMs: number): string;
  readonly bytes: number;
}

/** @param totalBytes what is expected, if known */
export function createProgress(what: string, totalBytes: number | undefined, startMs: number): Progress {
  let sent = 0;
  let nextPercent = stepPercent;
  let nextMs = startMs + stepMs;
  const rate = (nowMs: number): number => sent / Math.max((nowMs - startMs) / 1000, 0.001);
  const line = (nowMs: number): string => {
    const speed = `${formatSize(Math.round(rate(nowMs)))}/s`;
    if (totalBytes === undefined || totalBytes === 0) return `${what}: ${formatSize(sent)}, ${speed}`;
    const percent = Math.min(100, Math.floor((sent * 100) / totalBytes));
    const left = Math.max(0, Math.round((totalBytes - sent) / Math.max(rate(nowMs), 1)));
    return `${what}: ${percent} %, ${formatSize(sent)} of ${formatSize(totalBytes)}, ${speed}, ${left} s left`;
  };
  return {
    get bytes() {
      return sent;
    },
    advance(bytes, nowMs) {
      sent += bytes;
      const percent = totalBytes ? (sent * 100) / totalBytes : 0;
      const percentDue = percent >= nextPercent && percent < 100;
      if (!percentDue && nowMs < nextMs) return undefined;
      while (nextPercent <= percent) nextPercent += stepPercent;
      nextMs = nowMs + stepMs;
      return line(nowMs);
    },
    summary(nowMs) {
      const seconds = ((nowMs - startMs) / 1000).toFixed(1);
      return `${what}: ${formatSize(sent)} in ${seconds} s (${formatSize(Math.round(rate(nowMs)))}/s)`;
    },
  };
}
