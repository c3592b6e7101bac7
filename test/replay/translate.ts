/**
 * The recorder's world in the words of the sandbox: hosts, paths, the name of the driver, the sources of images, and the
 * deploy ids that our own deploy has printed. Everything else stays as oned passed it.
 */
import { join } from 'node:path';
import type { Layout } from '../../src/sandbox/layout.ts';
import type { Call } from './calls.ts';
import { disksOf, hasTwoWordSource } from './documents.ts';

/** host01l and host01x are host01 with other driver configurations. */
const hosts: Readonly<Record<string, string>> = {
  host01: 'node1',
  host01l: 'node1',
  host01x: 'node1',
  host02: 'node2',
};
/** As oned 3.8 and 7.x called themselves; both are told to the drivers as FRONTEND_NAMES. */
export const frontendNames = ['vm', 'lab-fe'] as const;

export interface Translated {
  readonly argv: readonly string[];
  readonly standardInput: string;
  /** The document that the call carries, as it is passed. */
  readonly document: string | undefined;
}

export class Translation {
  /** What deploy printed, by VM. */
  readonly deployIds = new Map<number, string>();

  constructor(
    private readonly layout: Layout,
    /** Replaces a host where our drivers' answer would have made oned go on with another one. */
    private readonly otherHost: (host: string, call: Call) => string,
  ) {}

  node(host: string, call: Call): string {
    const other = this.otherHost(host, call);
    return hosts[other] ?? other;
  }

  call(call: Call, machine: string | undefined): Translated {
    const { document } = call;
    const encoded = document === undefined ? undefined : Buffer.from(document).toString('base64');
    const argv = this.joined(call).map((word) =>
      word === encoded ? this.encoded(document ?? '', call) : this.word(word, call, machine),
    );
    const input = call.standardInput;
    const standardInput =
      input !== '' && input === encoded ? this.encoded(document ?? '', call) : this.text(input, call);
    return { argv, standardInput, document: document === undefined ? undefined : this.text(document, call) };
  }

  /** A document or a deployment file. */
  text(text: string, call: Call): string {
    return text
      .replaceAll('/var/lib/one/', `${this.layout.one}/`)
      .replace(/\b(host01[lx]?|host02)\b/g, (host) => this.node(host, call))
      .replace(/([[>]|vmm_)probe[lx]?(?=[\]<])/g, '$1cxm')
      .replace(/\bone-(\d+)-deployid\b/g, (id, vm: string) => this.deployIds.get(Number(vm)) ?? id)
      .replace(/(<DEPLOY_ID>)one-(\d+)</g, (id, start: string, vm: string) => {
        const own = this.deployIds.get(Number(vm));
        return own === undefined ? id : `${start}${own}<`;
      });
  }

  /** An image of the frontend, by OpenNebula's number for it. */
  image(imageId: number): string {
    return join(this.layout.datastores, 'images', `image-${imageId}`);
  }

  private encoded(text: string, call: Call): string {
    return Buffer.from(this.text(text, call)).toString('base64');
  }

  /** The recorder's datastore driver gave some images a source of two words. Sources are paths in ours. */
  private joined(call: Call): readonly string[] {
    return hasTwoWordSource(call) ? call.argv.filter((word) => word !== 'raw') : call.argv;
  }

  private word(word: string, call: Call, machine: string | undefined): string {
    const source = /^(?:(vm|lab-fe):)?probevg\.lv-one-(\d*)$/.exec(word);
    if (source !== null) {
      const [, frontend, number = ''] = source;
      const path = this.image(number === '' ? this.imageIdOf(call, machine) : Number(number));
      return frontend === undefined ? path : `${frontend}:${path}`;
    }
    // A local driver gets the frontend's copy of the file; ours run on the host.
    const copy = /^\/var\/lib\/one\/vms\/(\d+)\/(deployment\.\d+)$/.exec(word);
    if (copy !== null) return join(this.layout.datastores, systemDatastoreOf(call), copy[1] ?? '', copy[2] ?? '');
    const own = /^one-(\d+)$/.exec(word);
    if (own !== null && call.driver === 'vmm') return this.deployIds.get(Number(own[1])) ?? word;
    return this.text(word, call);
  }

  /** The 7.x recorder's sources have no number; what the document says of the disk has. A saved one is a new image. */
  private imageIdOf(call: Call, machine: string | undefined): number {
    if (call.action === 'cpds') return 1000 + call.sequence;
    const diskId = Number(/\/disk\.(\d+)$/.exec(call.argv.find((word) => /\/disk\.\d+$/.test(word)) ?? '')?.[1]);
    const disk = disksOf(machine ?? '').find((one) => one.diskId === diskId);
    if (disk?.imageId === undefined) throw new Error(`${call.file}: no document tells the image of disk ${diskId}`);
    return disk.imageId;
  }
}

export function systemDatastoreOf({ version }: Call): string {
  return version === '3.8' ? '102' : '103';
}
