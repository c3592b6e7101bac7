/**
 * The product's own toolstack on the nodes' real xl: what it believes of xl's output and exit codes is what the suites
 * about xl put to the test. Beside it, guests that boot from volumes, and xl's list as a poll sees it change.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Commands } from '../../src/host/commands.ts';
import { meaningOf, parseDomainList, type DomainMeaning, type DomainRow } from '../../src/xen/domain-list.ts';
import { Xl } from '../../src/xen/xl.ts';
import { lab } from '../lab/lab.ts';
import { volumeGroup, type NodeName } from '../lab/layout.ts';
import { guestConfiguration, makeGuestImage, type GuestConfiguration } from './guest.ts';

export function toolstackOn(node: NodeName): Xl {
  const commands: Commands = {
    run: (program, args, { timeoutMs = 60_000 } = {}) => {
      const words = [program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
      return lab.node(node, words.join(' '), { okExitCodes: 'any', timeoutMs });
    },
  };
  return new Xl(commands);
}

/** Makes a volume of the shared group with a guest on it, active on this node. @returns its device */
export async function makeGuestVolume(node: NodeName, name: string): Promise<string> {
  const image = `/var/tmp/${name}.image`;
  makeGuestImage(image, 32);
  const device = `/dev/${volumeGroup}/${name}`;
  await lab.node(node, `lvcreate -qq -y -Wn -L 32M -n ${name} ${volumeGroup} && lvchange -ay ${volumeGroup}/${name}`);
  await lab.node(node, `dd of=${device} bs=1M conv=fsync status=none`, { input: readFileSync(image) });
  return device;
}

/** @returns the path of the configuration on the node */
export async function configure(
  node: NodeName,
  guest: GuestConfiguration,
  change: (text: string) => string = (text) => text,
): Promise<string> {
  const path = `/etc/xen/vm/${guest.name}`;
  await lab.node(node, `cat > ${path}`, { input: change(guestConfiguration(guest)) });
  return path;
}

/** What the list calls a domain, by name, now; undefined when it has no such row. */
export async function meaningOn(node: NodeName, name: string): Promise<DomainMeaning | undefined> {
  const row = await toolstackOn(node).find(name);
  return row && meaningOf(row);
}

/** One look at a list: all rows but domain 0's. */
export type Look = readonly DomainRow[];

/**
 * Lists the domains of a node again and again while something happens there. The loop is on the node, where a look costs
 * a third of a second; every line that xl prints goes through the product's parser.
 */
export async function watched(node: NodeName, happens: () => Promise<unknown>): Promise<readonly Look[]> {
  const stop = `/run/watched-${Date.now()}`;
  const loop = `until [ -e ${stop} ]; do xl list -v || exit 1; echo '=== look'; sleep 0.4; done`;
  const looking = lab.node(node, loop, { timeoutMs: 300_000 });
  try {
    await happens();
  } finally {
    await lab.node(node, `touch ${stop}`);
  }
  const looks = (await looking).stdout.split('=== look\n').filter((text) => text !== '');
  return looks.map((text) => parseDomainList(text).filter(({ id }) => id !== 0));
}

/** Waits for what a look at a node's list must show. @throws Error after a minute */
export async function untilListed(node: NodeName, holds: (look: Look) => boolean): Promise<Look> {
  for (const deadline = Date.now() + 60_000; ; await sleep(200)) {
    const look = (await toolstackOn(node).list()).filter(({ id }) => id !== 0);
    if (holds(look)) return look;
    if (Date.now() > deadline) throw new Error(`${node} lists after a minute: ${JSON.stringify(look)}`);
  }
}
