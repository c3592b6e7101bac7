/**
 * A network between the daemons of a rig that loses packets: each reaches each other one by an address of its own, at which a
 * relay of this process listens. Works for every user and on every kernel; from a seed.
 *
 * Datagrams are lost, or come up to 20 ms late, in another order perhaps. What TCP does about losses is done in its place: a
 * piece of a connection that was lost comes after 200 ms, 600 ms, and so on, and what is behind it waits.
 */
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Random } from '../simulation/random.ts';
import { nodeNames, type ClusterRig, type NodeName } from './cluster-rig.ts';

const maxLateMs = 20;
const retransmissionMs = 200;

export class LossyNetwork {
  sent = 0;
  lost = 0;
  private readonly random: Random;
  private readonly ends: (Datagrams | Server | Socket)[] = [];

  private constructor(
    private readonly rig: ClusterRig,
    private readonly lossPercent: number,
    seed: number,
  ) {
    this.random = new Random(seed);
  }

  /** Before the daemons are started: it writes how they reach each other into their configurations. */
  static async between(rig: ClusterRig, lossPercent: number, seed: number): Promise<LossyNetwork> {
    const network = new LossyNetwork(rig, lossPercent, seed);
    for (const from of nodeNames) {
      const addresses = nodeNames.map((to) => `'${to}=${network.address(from, to)}'`);
      rig.configure(from, { NODE_ADDRESSES: `[${addresses.join(', ')}]` });
      for (const to of nodeNames.filter((name) => name !== from)) await network.relay(from, to);
    }
    return network;
  }

  close(): void {
    for (const end of this.ends.splice(0)) {
      if ('destroy' in end) end.destroy();
      else end.close();
    }
  }

  /** At which `from` finds `to`. */
  private address(from: NodeName, to: NodeName): string {
    const own = this.rig.address(to);
    if (from === to) return own;
    return own.replace(/\d+$/, String(100 + 10 * nodeNames.indexOf(from) + nodeNames.indexOf(to)));
  }

  private async relay(from: NodeName, to: NodeName): Promise<void> {
    const [host, address] = [this.rig.address(to), this.address(from, to)];
    const { udpPort, tcpPort } = this.rig;
    const socket = createSocket('udp4');
    this.ends.push(socket);
    let isOpen = true;
    socket.on('close', () => (isOpen = false));
    socket.on('message', (bytes) => {
      this.sent += 1;
      if (this.isLost()) {
        this.lost += 1;
        return;
      }
      const forward = (): void => {
        if (isOpen) socket.send(bytes, udpPort, host, () => undefined);
      };
      setTimeout(forward, this.random.between(0, maxLateMs));
    });
    await new Promise((resolve) => socket.bind(udpPort, address, () => resolve(undefined)));
    const server = createServer((caller) => {
      const called = connect({ host, port: tcpPort });
      this.join(caller, called);
      this.join(called, caller);
    });
    this.ends.push(server);
    await new Promise((resolve) => server.listen(tcpPort, address, () => resolve(undefined)));
  }

  /** One direction of a connection. */
  private join(from: Socket, to: Socket): void {
    this.ends.push(from);
    let before = Promise.resolve();
    const after = (action: () => void): void => {
      let lateMs = 0;
      for (let again = retransmissionMs; this.isLost(); again *= 2) lateMs += again;
      const late = new Promise<void>((resolve) => setTimeout(resolve, lateMs));
      before = before.then(() => late).then(action);
    };
    from.on('data', (chunk: Buffer) => after(() => void (to.writable && to.write(chunk))));
    from.on('end', () => after(() => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      const place = this.ends.indexOf(from);
      if (place >= 0) this.ends.splice(place, 1);
      if (from.errored) to.destroy();
    });
  }

  private isLost(): boolean {
    return this.random.chance(this.lossPercent / 100);
  }
}
