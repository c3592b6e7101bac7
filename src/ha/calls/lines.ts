/**
 * Cuts a stream into lines. Guarantees: what is held for a line that has not ended yet is one buffer of at most twice its
 * length, in however small pieces it comes; a line over the limit ends the stream before it was read to its end.
 */
import type { Duplex } from 'node:stream';

export interface LineEvents {
  line(text: string): void;
  /** After each piece: how much of a line waits for its end. */
  waits?(waitingBytes: number): void;
  /** A line was over the limit; the stream is destroyed. */
  tooLong?(): void;
}

const firstBytes = 1024;

/** Calls back for each line, until the stream ends or is destroyed. */
export function onLines(stream: Duplex, maxLineBytes: number, events: LineEvents): void {
  let held = Buffer.alloc(0);
  let length = 0;
  const hold = (piece: Buffer): void => {
    if (length + piece.length > held.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(firstBytes, 2 * (length + piece.length)));
      held.copy(grown, 0, 0, length);
      held = grown;
    }
    piece.copy(held, length);
    length += piece.length;
  };
  stream.on('data', (chunk: Buffer) => {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0 && !stream.destroyed; end = rest.indexOf(10)) {
      if (length + end > maxLineBytes) break;
      if (length > 0) hold(rest.subarray(0, end));
      const line = length > 0 ? held.toString('utf8', 0, length) : rest.toString('utf8', 0, end);
      length = 0;
      held = Buffer.alloc(0);
      rest = rest.subarray(end + 1);
      events.line(line);
    }
    if (stream.destroyed) return;
    if (length + rest.length > maxLineBytes) {
      events.tooLong?.();
      stream.destroy();
      return;
    }
    if (rest.length > 0) hold(rest);
    events.waits?.(length);
  });
}
