/**
 * The sockets of heartbeats: to each node by itself, to all of a network, or to a group; over one or several networks.
 *
 * Guarantees: nothing here is trusted or decided: bytes go out and come in. A network that is down is a counted error of
 * that sending, never of another one.
 */
import { createSocket, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { CxmError } from '../../errors.ts';

export interface UdpSettings {
  readonly port: number;
  readonly cast: 'unicast' | 'broadcast' | 'multicast';
  readonly group: string;
  readonly interfaces: readonly string[];
  /** Own addresses to listen on; all when empty. For unicast only: what goes to all arrives at none of them. */
  readonly listen: readonly string[];
  /** Addresses of the other nodes, as they are at the moment. */
  peers(): readonly string[];
}

export interface UdpEvents {
  received(bytes: Buffer, source: string): void;
  /** A sending or a socket has failed. */
  failed(reason: string): void;
}

interface Link {
  readonly address: string;
  readonly broadcast: string;
}

export class UdpLinks {
  private readonly sockets: Socket[] = [];
  /** Of multicast: one for each network, by its own address there. */
  private readonly senders = new Map<string, Socket>();

  private constructor(
    private readonly settings: UdpSettings,
    private readonly events: UdpEvents,
  ) {}

  /** @throws CxmError IO when the port can't be had */
  static async open(settings: UdpSettings, events: UdpEvents): Promise<UdpLinks> {
    const links = new UdpLinks(settings, events);
    const addresses = settings.cast === 'unicast' && settings.listen.length > 0 ? settings.listen : ['0.0.0.0'];
    try {
      for (const address of addresses) links.sockets.push(await links.bind(address, settings.port));
      if (settings.cast === 'broadcast') links.main().setBroadcast(true);
      return links;
    } catch (error) {
      links.close();
      throw error;
    }
  }

  send(bytes: Buffer): void {
    const { cast, port } = this.settings;
    if (cast === 'multicast') return this.sendToGroup(bytes);
    if (cast === 'unicast') return this.sendToEach(bytes);
    for (const { broadcast } of linksOf(this.settings.interfaces)) this.sendFrom(this.main(), bytes, port, broadcast);
  }

  /** Each network from the own address there: from another one a strict reverse path filter takes it for forged. */
  private sendToEach(bytes: Buffer): void {
    const nearby = this.sockets.length > 1 ? addressesOf().filter(({ address }) => this.socketOf(address)) : [];
    for (const target of this.settings.peers()) {
      const own = nearby.find(({ address, netmask }) => broadcastOf(address, netmask) === broadcastOf(target, netmask));
      const socket = own === undefined ? undefined : this.socketOf(own.address);
      this.sendFrom(socket ?? this.main(), bytes, this.settings.port, target);
    }
  }

  private socketOf(address: string): Socket | undefined {
    return this.sockets[this.settings.listen.indexOf(address)];
  }

  close(): void {
    for (const socket of [...this.sockets.splice(0), ...this.senders.values()]) socket.close();
    this.senders.clear();
  }

  private main(): Socket {
    const [socket] = this.sockets;
    if (socket === undefined) throw new CxmError('INTERNAL', 'the sockets of heartbeats are closed');
    return socket;
  }

  private sendFrom(socket: Socket, bytes: Buffer, port: number, address: string): void {
    socket.send(bytes, port, address, (error) => {
      if (error !== null) this.events.failed(`${address}: ${error.message}`);
    });
  }

  /** Networks may come up later, so memberships are renewed as they are seen. */
  private sendToGroup(bytes: Buffer): void {
    for (const { address } of linksOf(this.settings.interfaces)) {
      const sender = this.senders.get(address) ?? this.joinGroup(address);
      this.sendFrom(sender, bytes, this.settings.port, this.settings.group);
    }
  }

  private joinGroup(address: string): Socket {
    const socket = createSocket('udp4');
    socket.on('error', (error) => this.events.failed(`${address}: ${error.message}`));
    socket.bind(0, address, () => {
      try {
        socket.setMulticastInterface(address);
        socket.setMulticastTTL(1);
        this.main().addMembership(this.settings.group, address);
      } catch (error) {
        this.events.failed(`${address}: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
    this.senders.set(address, socket);
    return socket;
  }

  private bind(address: string, port: number): Promise<Socket> {
    const socket = createSocket('udp4');
    socket.on('message', (bytes, { address: source }) => this.events.received(bytes, source));
    return new Promise((resolve, reject) => {
      socket.once('error', (cause) => {
        socket.close();
        reject(new CxmError('IO', `UDP port ${port} of ${address} can't be had: ${cause.message}`, { cause }));
      });
      socket.bind({ address, port, exclusive: true }, () => {
        socket.removeAllListeners('error');
        socket.on('error', (error) => this.events.failed(error.message));
        resolve(socket);
      });
    });
  }
}

/** The networks that are up, with the address that means all of it. */
export function linksOf(interfaces: readonly string[]): readonly Link[] {
  return addressesOf()
    .filter(({ name, internal }) => (interfaces.length > 0 ? interfaces.includes(name) : !internal))
    .map(({ address, netmask }) => ({ address, broadcast: broadcastOf(address, netmask) }));
}

interface OwnAddress {
  /** Of the interface. */
  readonly name: string;
  readonly address: string;
  readonly netmask: string;
  /** Of the loopback interface. */
  readonly internal: boolean;
}

function addressesOf(): readonly OwnAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.filter(({ family }) => family === 'IPv4').map((one) => ({ ...one, name })),
  );
}

/** Pure. */
export function broadcastOf(address: string, netmask: string): string {
  const mask = netmask.split('.').map(Number);
  return address
    .split('.')
    .map((part, index) => Number(part) | (255 ^ (mask[index] ?? 255)))
    .join('.');
}
