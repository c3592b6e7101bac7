/**
 * The daemon's side of the network: heartbeats out and in, calls to other nodes.
 *
 * Guarantees: what becomes an event was made with a key of this cluster; everything else is counted. An address that was
 * found once is kept, so a name server that fails silences nobody.
 */
import type { CxmConf } from '../../config/cxm-conf.ts';
import { CxmError } from '../../errors.ts';
import { answerShape } from '../calls/messages.ts';
import { callPeer } from '../calls/peer-calls.ts';
import type { BootClock } from '../effects/boot-clock.ts';
import type { Datagram, NodeIndex } from '../protocol/blocks.ts';
import type { Answer, Request } from '../protocol/messages.ts';
import { AddressBook } from '../wire/addresses.ts';
import type { ClusterKey } from '../wire/cluster-key.ts';
import { openDatagram, sealDatagram } from '../wire/datagram.ts';
import { Rejections } from '../wire/rejections.ts';
import { UdpLinks } from '../wire/udp.ts';
import type { Logger } from './log.ts';

export interface NetworkParts {
  readonly conf: CxmConf;
  readonly cluster: string;
  readonly self: NodeIndex;
  /** As they are at the moment; the first one is spoken with. */
  keys(): readonly ClusterKey[];
  readonly rejections: Rejections;
  readonly clock: BootClock;
  readonly log: Logger;
  received(datagram: Datagram): void;
}

const refreshMs = 60_000;

export class DaemonNetwork {
  private readonly book: AddressBook;
  private readonly troubles: Rejections;
  private links: UdpLinks | undefined;
  private nodes: readonly string[];

  constructor(private readonly parts: NetworkParts) {
    const { conf, clock, log } = parts;
    this.nodes = conf.ALLOWED_NODES;
    this.book = new AddressBook({ nodes: this.nodes, given: conf.NODE_ADDRESSES });
    this.troubles = new Rejections(clock, (kind, count, source) => log('network', `${kind}: ${source} (${count})`));
  }

  get ownAddresses(): readonly string[] {
    return this.book.givenOf(this.nodes[this.parts.self] ?? '');
  }

  isNode(address: string): boolean {
    return this.book.has(address);
  }

  /** @throws CxmError IO */
  async open(): Promise<{ close(): void }> {
    const { conf, self } = this.parts;
    await this.refresh();
    const settings = {
      port: conf.UDP_PORT,
      cast: conf.HB_CAST,
      group: conf.HB_GROUP,
      interfaces: conf.HB_INTERFACES,
      listen: this.ownAddresses,
      peers: () => this.nodes.flatMap((name, index) => (index === self ? [] : this.book.of(name))),
    };
    const links = await UdpLinks.open(settings, {
      received: (bytes, source) => this.take(bytes, source),
      failed: (reason) => this.troubles.count('a heartbeat could not be sent', reason),
    });
    this.links = links;
    const timer = setInterval(() => void this.refresh(), refreshMs);
    return {
      close: () => {
        clearInterval(timer);
        this.links = undefined;
        links.close();
      },
    };
  }

  change(conf: CxmConf): void {
    this.nodes = conf.ALLOWED_NODES;
    this.book.change({ nodes: this.nodes, given: conf.NODE_ADDRESSES });
    void this.refresh();
  }

  send(datagram: Datagram): void {
    this.links?.send(sealDatagram(datagram, this.parts.cluster, this.key()));
  }

  /** @throws CxmError */
  async ask(node: string, request: Request, deadlineMs: number): Promise<Answer> {
    const { self, conf } = this.parts;
    const addresses = this.book.of(node);
    const call = { addresses, port: conf.TCP_PORT, key: this.key(), method: 'ask', deadlineMs };
    return answerShape(await callPeer({ ...call, params: { from: self, request } }), `answer of ${node}`);
  }

  private take(bytes: Buffer, source: string): void {
    const { cluster, keys, rejections, self, received } = this.parts;
    const datagram = openDatagram(bytes, cluster, keys());
    if (typeof datagram === 'string') rejections.count(`heartbeat: ${datagram}`, source);
    else if (datagram.from !== self) received(datagram);
  }

  private async refresh(): Promise<void> {
    for (const name of await this.book.refresh()) this.troubles.count('no address is known of', name);
  }

  private key(): ClusterKey {
    const [key] = this.parts.keys();
    if (key === undefined) throw new CxmError('INTERNAL', 'there is no key');
    return key;
  }
}
