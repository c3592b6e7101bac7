/**
 * Two ends of a connection within this machine, of which a program gets one: what Node makes by itself for a program's
 * output is read in pieces that each need new memory, which costs more than all else about them.
 */
import { mkdtemp, rmdir } from 'node:fs/promises';
import { connect, createServer, type OnReadOpts, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SocketPair {
  readonly ours: Socket;
  /** To be destroyed here once the program has it. */
  readonly theirs: Socket;
}

/** In a directory that only this user can enter, and which is gone again when this resolves. */
export async function socketPair(onread: OnReadOpts): Promise<SocketPair> {
  const directory = await mkdtemp(join(tmpdir(), 'cxm-'));
  const server = createServer({ pauseOnConnect: true });
  try {
    return await new Promise<SocketPair>((resolve, reject) => {
      const path = join(directory, 'socket');
      server.on('error', reject);
      server.listen(path, () => {
        const ours = connect({ path, onread });
        ours.on('error', reject);
        server.on('connection', (theirs) => resolve({ ours, theirs }));
      });
    });
  } finally {
    server.close(); // removes the socket's name
    await rmdir(directory).catch(() => undefined);
  }
}
