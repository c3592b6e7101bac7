/**
 * Assaults on the network ports and the local socket of a daemon, for a while each, from a seed. An assault never fails: what
 * became of the daemon is seen by whoever has started it (siege.ts).
 */
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import * as tls from 'node:tls';
import type { Random } from '../../simulation/random.ts';
import { bytesOf, hostileDatagram, type Recorded } from './datagrams.ts';
import { hostileLine } from './lines.ts';

export interface Target {
  readonly host: string;
  readonly udpPort: number;
  readonly tcpPort: number;
  /** UNIX_PORT, and that with `.read` behind it where there is one. */
  readonly sockets: readonly string[];
  /** Of the loopback network, with a dot at the end: strangers come from addresses that begin so. */
  readonly network: string;
  readonly recorded: Recorded;
}

export type Assault = (target: Target, random: Random, untilMs: number) => Promise<void>;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** At most so many connections of one assault at once, so that it is the daemon that is tried and not this process. */
const openAtOnce = 400;

/** Keeps connections, and ends them all at the end. */
class Crowd {
  private readonly members = new Set<Socket>();

  get isFull(): boolean {
    return this.members.size >= openAtOnce;
  }

  add<S extends Socket>(socket: S): S {
    this.members.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.members.delete(socket));
    return socket;
  }

  async end(): Promise<void> {
    const all = [...this.members];
    for (const socket of all) socket.destroy();
    await pause(50);
  }
}

async function repeat(untilMs: number, pauseMs: number, body: () => void): Promise<void> {
  while (performance.now() < untilMs) {
    body();
    await pause(pauseMs);
  }
}

const datagrams: Assault = async ({ host, udpPort, recorded }, random, untilMs) => {
  const socket = createSocket('udp4');
  socket.on('error', () => undefined);
  await repeat(untilMs, 10, () => {
    for (let at = 0; at < 20; at += 1) socket.send(hostileDatagram(random, recorded), udpPort, host, () => undefined);
  });
  socket.close();
};

function stranger({ network, host, tcpPort }: Target, random: Random): Socket {
  return connect({ host, port: tcpPort, localAddress: `${network}${random.integer(40, 90)}` });
}

/** Headers of TLS with false lengths, other protocols, noise; some of it byte by byte. */
const noise: Assault = async (target, random, untilMs) => {
  const crowd = new Crowd();
  await repeat(untilMs, 30, () => {
    if (crowd.isFull) return;
    const socket = crowd.add(stranger(target, random));
    const hello = [
      0x16,
      3,
      random.integer(0, 4),
      random.integer(0, 255),
      random.integer(0, 255),
      random.integer(0, 20),
    ];
    const head = random.pick([Buffer.from(hello), Buffer.from('GET / HTTP/1.1\r\n'), Buffer.alloc(0)]);
    const bytes = Buffer.concat([head, bytesOf(random, random.pick([0, 5, 500, 70_000]))]);
    if (random.chance(0.5)) socket.write(bytes);
    else bytes.subarray(0, 40).forEach((byte, at) => setTimeout(() => socket.write(Buffer.of(byte)), at * 25));
    if (random.chance(0.5)) setTimeout(() => socket.destroy(), random.integer(0, 500));
  });
  await crowd.end();
};

/** They connect and are silent: thousands in all, as many at once as are let. */
const halfOpen: Assault = async (target, random, untilMs) => {
  const crowd = new Crowd();
  await repeat(untilMs, 10, () => {
    for (let at = 0; at < 4 && !crowd.isFull; at += 1) crowd.add(stranger(target, random));
  });
  await crowd.end();
};

function secure(target: Target, psk: Buffer, identity: string): tls.TLSSocket {
  return tls.connect({
    host: target.host,
    port: target.tcpPort,
    ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
    pskCallback: () => ({ psk, identity }),
    checkServerIdentity: () => undefined,
  });
}

const identityOf = (id: number): string => `cxm-${id.toString(16).padStart(6, '0')}`;

const withoutKey: Assault = async (target, random, untilMs) => {
  const crowd = new Crowd();
  const { right, wrong } = target.recorded;
  await repeat(untilMs, 60, () => {
    if (crowd.isFull) return;
    const identity = random.pick([
      identityOf(right.id),
      identityOf(wrong.id),
      '',
      'x'.repeat(120),
      'cxm-\u00e9',
      'root',
    ]);
    crowd.add(secure(target, wrong.calls, identity));
  });
  await crowd.end();
};

/** Somebody with the key: a node of another version, or one that has lost its mind. */
const withKey: Assault = async (target, random, untilMs) => {
  const crowd = new Crowd();
  const { right } = target.recorded;
  await repeat(untilMs, 60, () => {
    if (!crowd.isFull) say(crowd.add(secure(target, right.calls, identityOf(right.id))), random);
  });
  await crowd.end();
};

const local: Assault = async ({ sockets }, random, untilMs) => {
  const crowd = new Crowd();
  await repeat(untilMs, 60, () => {
    if (!crowd.isFull) say(crowd.add(connect(random.pick(sockets))), random);
  });
  await crowd.end();
};

/** Lines: at once, in pieces, many at once, or never to their end. */
function say(socket: Socket, random: Random): void {
  const line = hostileLine(random);
  socket.resume();
  switch (random.integer(0, 4)) {
    case 0:
      socket.write(line.subarray(0, random.integer(0, Math.min(2000, line.length))));
      return;
    case 1:
      line.subarray(0, 60).forEach((byte, at) => setTimeout(() => socket.write(Buffer.of(byte)), at * 20));
      return;
    case 2:
      for (let at = 0; at < 60; at += 1) socket.write(Buffer.concat([line.subarray(0, 500), Buffer.from('\n')]));
      break;
    default:
      socket.write(Buffer.concat([line, Buffer.from('\n')]));
  }
  setTimeout(() => socket.destroy(), random.integer(50, 1000));
}

/** What is allowed, but much of it: long answers asked for over all connections that there are. */
const greed: Assault = async ({ sockets }, random, untilMs) => {
  const crowd = new Crowd();
  const reading = sockets.at(-1) ?? '';
  await repeat(untilMs, 40, () => {
    if (crowd.isFull) return;
    const socket = crowd.add(connect(reading));
    const line = `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: random.pick(['dump', 'why', 'nodes', 'watch']) })}\n`;
    socket.write(line.repeat(random.integer(1, 16)));
    // Half of them never read what they have asked for.
    if (random.chance(0.5)) socket.resume();
    setTimeout(() => socket.destroy(), random.integer(100, 2000));
  });
  await crowd.end();
};

export const assaults: Readonly<Record<string, Assault>> = {
  datagrams,
  noise,
  'half-open connections': halfOpen,
  'calls without the key': withoutKey,
  'calls with the key': withKey,
  'local calls': local,
  'long answers': greed,
};
