/**
 * Standard output as a place for the log. Node's own would wait for whoever reads a pipe or socket, and a journald that
 * hangs would stop the heartbeats. Guarantees: a write never waits; lines beyond a limit are dropped, and counted.
 */
import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';

const maxWaitingBytes = 1024 * 1024;

export function openLogStream(descriptor: number): (line: string) => void {
  const status = fstatSync(descriptor);
  if (!status.isFIFO() && !status.isSocket()) return (line) => void process.stdout.write(line);
  const stream = new Socket({ fd: descriptor, readable: false, writable: true });
  // Nobody reads any more: the daemon goes on without a log.
  stream.on('error', () => undefined);
  let dropped = 0;
  return (line) => {
    if (stream.destroyed) return;
    if (stream.writableLength > maxWaitingBytes) {
      dropped += 1;
      return;
    }
    if (dropped > 0) stream.write(`<4>CXM070 ${dropped} lines of the log were lost: nobody read it\n`);
    dropped = 0;
    stream.write(line);
  };
}
