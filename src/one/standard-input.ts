/**
 * What oned sends an action. Its versions before 5.0 send most actions nothing, and leave them the input of the shell
 * that runs them: that stays open until the action has ended, and what comes there later are commands for the shell. So
 * whoever may be called by these waits for the first byte only for a while, and takes none afterwards.
 */
import type { Readable } from 'node:stream';
import { CxmError } from '../errors.ts';

const maxBytes = 64 * 1024 * 1024;

/**
 * Reads all of it.
 * @param beginsWithinMs how long the first byte is waited for; empty if none came by then, or at once if it is 0
 * @throws CxmError INVALID_INPUT when it is too long
 */
export function readInput(stream: Readable, beginsWithinMs = Infinity): Promise<string> {
  if (beginsWithinMs === 0) return Promise.resolve('');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (finish: () => void): void => {
      clearTimeout(timer);
      stream.off('data', take).pause();
      finish();
    };
    const take = (chunk: Buffer): void => {
      clearTimeout(timer);
      chunks.push(chunk);
      length += chunk.length;
      if (length <= maxBytes) return;
      end(() => reject(new CxmError('INVALID_INPUT', 'standard input is longer than 64 MiB')));
    };
    const timer = Number.isFinite(beginsWithinMs)
      ? setTimeout(() => end(() => resolve('')), beginsWithinMs)
      : undefined;
    stream.once('end', () => end(() => resolve(Buffer.concat(chunks).toString())));
    stream.once('error', (error) => end(() => reject(error)));
    stream.on('data', take);
  });
}
