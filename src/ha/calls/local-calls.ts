/**
 * Calls of programs of this node: two unix sockets, UNIX_PORT for root, and the same with `.read` behind it, whose group may
 * ask how things are. Who may open a socket is all that decides; there are no passwords.
 *
 * Guarantees: there is no moment in which a socket is open to more than it should be; on the second one nothing can be
 * changed, because the methods that change something aren't there. Who asks without end, on however many connections, takes
 * a part of the time of the daemon and never that of the heartbeats, nor that of the other socket.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { CxmError } from '../../errors.ts';
import { askOver, serve, type Asking, type Methods, type ServeLimits } from './json-rpc.ts';
import { Pacer } from './pacer.ts';

export function readSocketOf(path: string): string {
  return `${path}.read`;
}

export interface LocalServerOptions {
  /** UNIX_PORT. */
  readonly path: string;
  /** Whose members may read; nobody but root when left out. */
  readonly group: string | undefined;
  readonly methods: Methods;
  readonly readingMethods: Methods;
}

export interface LocalServer {
  close(): void;
}

const maxConnections = 64;
/** The longest request has two names of 255 letters. Answers are as long as the cluster is large. */
const maxRequestBytes = 16 * 1024;
const maxAnswerBytes = 16 * 1024 * 1024;
const requestMs = 10_000;
/** Of a core, for each of the two sockets; and what a single program may use at once. */
const [share, burstMs] = [0.2, 100];

/** The port of calls between nodes was taken before this, so a socket that is there is an old one. @throws CxmError IO */
export async function serveLocally(options: LocalServerOptions): Promise<LocalServer> {
  const { path, group, methods, readingMethods } = options;
  const servers = [await listen(path, methods)];
  const readPath = readSocketOf(path);
  fs.rmSync(readPath, { force: true });
  if (group !== undefined) {
    servers.push(await listen(readPath, readingMethods));
    // First the group, then the mode: until then it is root's alone.
    fs.chownSync(readPath, process.getuid?.() ?? 0, groupId(group));
    fs.chmodSync(readPath, 0o660);
  }
  return {
    close() {
      for (const server of servers) server.close();
      for (const socket of [path, readPath]) fs.rmSync(socket, { force: true });
    },
  };
}

function listen(path: string, methods: Methods): Promise<Server> {
  // Who watches asks nothing more.
  const pacer = new Pacer(share, burstMs);
  const limits: ServeLimits = { maxLineBytes: maxRequestBytes, requestMs, endsIdle: false, pacer };
  const server = createServer((socket) => serve(socket, methods, limits, () => undefined));
  server.maxConnections = maxConnections;
  fs.rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(new CxmError('IO', `the socket ${path} can't be made: ${cause.message}`, { cause }));
    };
    server.once('error', fail);
    // The kernel gives the socket its mode when it is bound, which Node does within this call.
    const mask = process.umask(0o177);
    try {
      server.listen(path, () => {
        // Later ones are of single connections, as when no descriptor is left.
        resolve(server.off('error', fail).on('error', () => undefined));
      });
    } finally {
      process.umask(mask);
    }
  });
}

function groupId(group: string): number {
  try {
    return Number(execFileSync('getent', ['group', group], { encoding: 'utf8' }).split(':')[2]);
  } catch (cause) {
    throw new CxmError('CONFIG', `CXMD_GROUP is ${group}, but there is no such group`, { cause });
  }
}

export interface LocalConnection extends Asking {
  /** Resolves when cxmd has ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

/** @throws CxmError HOST_UNREACHABLE when no cxmd answers, ACCESS_DENIED */
export async function connectLocally(path: string): Promise<LocalConnection> {
  try {
    return await connectTo(path);
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'ACCESS_DENIED') throw error;
    return connectTo(readSocketOf(path)).catch(() => Promise.reject(error));
  }
}

function connectTo(path: string): Promise<LocalConnection> {
  const socket = connect(path);
  return new Promise((resolve, reject) => {
    socket.once('error', (cause) => {
      const isDenied = 'code' in cause && cause.code === 'EACCES';
      const message = isDenied ? `${path} is not for this user` : "Can't contact cxmd. Is daemon running ?";
      const hint = isDenied
        ? 'be root, or a member of the group CXMD_GROUP for what only looks'
        : 'systemctl status cxmd';
      reject(new CxmError(isDenied ? 'ACCESS_DENIED' : 'HOST_UNREACHABLE', message, { cause, hint }));
    });
    const closed = new Promise<void>((end) => socket.once('close', () => end()));
    socket.once('connect', () =>
      resolve({ ...askOver(socket, maxAnswerBytes), closed, close: () => socket.destroy() }),
    );
  });
}
