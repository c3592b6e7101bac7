/**
 * Hears the numbers that a guest acknowledges, and compares them with what is on its volume: nothing that was acknowledged
 * may be missing there, and each number must be written once, by one node.
 */
import { build } from 'esbuild';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseEntries, stretchesOf, type Entry, type Stretch } from './counter.ts';
import { lab } from './lab.ts';
import { checkout, frontendAddress, volumeGroup, type NodeName } from './layout.ts';

const port = 4243;
const here = join(checkout, 'test/lab');

/** Where the program is on a node, for the knob guestProgram of the simulated xl. */
export const counterGuest = '/root/counter-guest';

export interface Acknowledged extends Entry {
  /** When it was heard, by the clock of performance.now(). */
  readonly atMs: number;
}

/** Puts the guest's program on a node. */
export async function installCounterGuest(...nodes: readonly NodeName[]): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: [join(here, 'counter-guest.ts')],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    write: false,
  });
  for (const node of nodes) {
    await lab.node(node, `cat > ${counterGuest}.cjs`, { input: outputFiles[0]?.contents ?? '' });
    await lab.node(node, `cat > ${counterGuest}.to`, { input: `${frontendAddress} ${port}\n` });
    await lab.node(node, `cat > ${counterGuest} && chmod +x ${counterGuest}`, {
      input: readFileSync(join(here, 'counter-guest.sh')),
    });
  }
}

export class CounterWitness {
  private readonly heard: Acknowledged[] = [];
  private readonly socket = createSocket('udp4');

  /** @param volume of the guest's disk with the counter */
  constructor(private readonly volume: string) {}

  async listen(): Promise<void> {
    this.socket.on('message', (message) => {
      this.heard.push({ ...(JSON.parse(message.toString()) as Entry), atMs: performance.now() });
    });
    this.socket.bind(port, frontendAddress);
    await once(this.socket, 'listening');
  }

  close(): void {
    this.socket.close();
  }

  /** The greatest number that was acknowledged; 0 when there was none. */
  get last(): number {
    return this.heard.reduce((greatest, { number }) => Math.max(greatest, number), 0);
  }

  /** Waits until the guest has counted on there. @returns the first number that it has acknowledged from there since */
  async countsOn(node: NodeName, timeoutMs = 60_000): Promise<Acknowledged> {
    const before = this.heard.length;
    for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(50)) {
      const found = this.heard.slice(before).find((entry) => entry.node === node);
      if (found !== undefined) return found;
    }
    throw new Error(`the guest does not count on ${node}; what was heard last: ${JSON.stringify(this.heard.at(-1))}`);
  }

  /**
   * Who wrote what, as the volume tells it.
   * @param node where it is active
   * @throws Error when a number was written twice, was left out, or was acknowledged and is not there
   */
  async history(node: NodeName): Promise<readonly Stretch[]> {
    const heard = [...this.heard];
    const read = `dd if=/dev/${volumeGroup}/${this.volume} bs=1M iflag=direct status=none | tr -d '\\0'`;
    const entries = parseEntries(await lab.output(node, read));
    const stretches = stretchesOf(entries);
    const lost = heard.filter(({ number, node: writer, boot }) => {
      const found = entries[number - 1];
      return found?.node !== writer || found.boot !== boot;
    });
    if (lost.length === 0) return stretches;
    throw new Error(`acknowledged and not there: ${JSON.stringify(lost)}; there is ${JSON.stringify(stretches)}`);
  }
}
