/**
 * Calls from one cxmd to another: TLS with the cluster key (PSK), a connection for each call, since they are rare and some
 * take minutes.
 *
 * Guarantees: whoever has no key of the cluster is told nothing and asks nothing; a call ends by its deadline; no more
 * connections than the limits, from one address and from all that are no node's, so that strangers, from however many
 * addresses, can't take the places of the nodes; a connection over which nothing is asked is ended, so that a node that has
 * lost its power leaves none behind.
 */
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import * as tls from 'node:tls';
import { CxmError } from '../../errors.ts';
import type { ClusterKey } from '../wire/cluster-key.ts';
import { askOver, maxLineBytes, serve, type Methods, type ServeLimits } from './json-rpc.ts';

/** Authenticates both ends by the key, and keeps what was said secret even if the key is lost later. */
const cipher = { ciphers: 'ECDHE-PSK-CHACHA20-POLY1305', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
const handshakeTimeoutMs = 5000;
const maxFromOneAddress = 24;
const maxFromStrangers = 128;
const limits: ServeLimits = { maxLineBytes, requestMs: 10_000, endsIdle: true };
/** The kernel asks this often whether the other end is there yet, while an answer is being worked on. */
const keepAliveMs = 10_000;

export interface PeerServerOptions {
  readonly port: number;
  /** All when empty. */
  readonly listen: readonly string[];
  /** As they are at the moment. */
  keys(): readonly ClusterKey[];
  readonly methods: Methods;
  /** Is it an address of a node, as far as is known at the moment? */
  isNode(address: string): boolean;
  /** Somebody who was not served: a few words why, and from where. */
  refused(kind: string, source: string): void;
}

export interface PeerServer {
  close(): void;
}

/** @throws CxmError IO when a port can't be had: another cxmd runs here, or has not ended */
export async function servePeers(options: PeerServerOptions): Promise<PeerServer> {
  const servers: Server[] = [];
  const close = (): void => {
    for (const server of servers) server.close();
  };
  try {
    for (const address of options.listen.length > 0 ? options.listen : ['0.0.0.0']) {
      servers.push(await listen(address, options));
    }
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

function listen(address: string, options: PeerServerOptions): Promise<Server> {
  const { port, methods, refused, keys } = options;
  // It never listens itself: TLS costs too much to be spent on those for whom there is no place.
  const secure = tls.createServer({
    ...cipher,
    handshakeTimeout: handshakeTimeoutMs,
    pskIdentityHint: 'cxm',
    pskCallback: (_socket, identity) => keys().find(({ id }) => identityOf(id) === identity)?.calls ?? null,
  });
  secure.on('tlsClientError', (_error, socket) => refused('call without the key', socket.remoteAddress ?? ''));
  secure.on('secureConnection', (socket) => {
    serve(socket, methods, limits, (kind) => refused(`call: ${kind}`, socket.remoteAddress ?? ''));
  });
  const places = new Places(options);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (!places.take(socket)) return void socket.destroy();
    socket.setKeepAlive(true, keepAliveMs);
    secure.emit('connection', socket);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const hint = 'another cxmd may run here, or one that waits for the heartbeat disk may not have ended';
      reject(new CxmError('IO', `TCP port ${port} of ${address} can't be had: ${cause.message}`, { cause, hint }));
    });
    server.listen({ port, host: address, exclusive: true }, () => {
      server.removeAllListeners('error');
      server.on('error', () => undefined);
      resolve(server);
    });
  });
}

/** Who may have a connection. */
class Places {
  private readonly sources = new Map<string, number>();
  private strangers = 0;

  constructor(private readonly options: Pick<PeerServerOptions, 'isNode' | 'refused'>) {}

  /** The place is free again when the socket is closed. */
  take(socket: Socket): boolean {
    const source = socket.remoteAddress ?? '';
    const isStranger = !this.options.isNode(source);
    const open = this.sources.get(source) ?? 0;
    if (open >= maxFromOneAddress || (isStranger && this.strangers >= maxFromStrangers)) {
      this.options.refused('too many connections', source);
      return false;
    }
    this.sources.set(source, open + 1);
    if (isStranger) this.strangers += 1;
    socket.once('close', () => {
      const left = (this.sources.get(source) ?? 1) - 1;
      if (left > 0) this.sources.set(source, left);
      else this.sources.delete(source);
      if (isStranger) this.strangers -= 1;
    });
    return true;
  }
}

export interface PeerCall {
  /** Tried one after the other. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly key: ClusterKey;
  readonly method: string;
  readonly params: unknown;
  readonly deadlineMs: number;
}

/** @throws CxmError HOST_UNREACHABLE, TIMEOUT, or that of the other side; all but INVALID_INPUT may have been carried out */
export async function callPeer(call: PeerCall): Promise<unknown> {
  let socket: tls.TLSSocket | undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new CxmError('TIMEOUT', 'no answer in time', { changed: 'maybe' })),
      call.deadlineMs,
    );
  });
  const exchange = async (): Promise<unknown> => {
    socket = await connectAny(call);
    return askOver(socket).ask(call.method, call.params);
  };
  try {
    return await Promise.race([exchange(), late]);
  } finally {
    clearTimeout(timer);
    socket?.destroy();
  }
}

async function connectAny({ addresses, port, key, deadlineMs }: PeerCall): Promise<tls.TLSSocket> {
  let failure = new CxmError('HOST_UNREACHABLE', 'it has no address');
  const timeoutMs = Math.min(handshakeTimeoutMs, deadlineMs / Math.max(1, addresses.length));
  for (const address of addresses) {
    try {
      return await connect(address, port, key, timeoutMs);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      failure = new CxmError('HOST_UNREACHABLE', `${address}: ${why}`, { cause });
    }
  }
  throw failure;
}

function connect(host: string, port: number, key: ClusterKey, timeoutMs: number): Promise<tls.TLSSocket> {
  const plain = connectTcp({ host, port });
  const socket = tls.connect({
    ...cipher,
    socket: plain,
    pskCallback: () => ({ psk: key.calls, identity: identityOf(key.id) }),
    // The key says who it is; there are no certificates.
    checkServerIdentity: () => undefined,
  });
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      plain.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error('no connection in time')), timeoutMs);
    plain.once('error', fail);
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

function identityOf(id: number): string {
  return `cxm-${id.toString(16).padStart(6, '0')}`;
}
