/**
 * The cluster's core on the lab's nodes: what docs/install.md asks of the nodes of a cluster, cxm as an administrator calls
 * it, and where guests and active volumes are.
 */
import { lab, type RunResult } from '../lab/lab.ts';
import type { NodeName } from '../lab/layout.ts';
import { guestsOn } from './guest.ts';

export const both = ['node1', 'node2'] as const;

/** Names are looked up in files only, as nobody else answers. */
const nodeSettings = `
  update-rc.d xendomains disable
  printf 'ClientAliveInterval 5\nClientAliveCountMax 3\n' | tee -a /etc/ssh/sshd_config >> /etc/lab/sshd_config
  kill -HUP $(pgrep -o -x sshd)
  : > /etc/resolv.conf
`;

/** @param programs by path */
export async function prepareNodes(conf: string, programs: Readonly<Record<string, string>>): Promise<void> {
  for (const node of both) {
    await lab.node(node, nodeSettings);
    await lab.node(node, 'cat > /etc/xen/cxm.conf', { input: conf });
    for (const [path, input] of Object.entries(programs)) {
      await lab.node(node, `cat > ${path} && chmod +x ${path}`, { input });
    }
  }
}

export function cxm(node: NodeName, line: string): Promise<RunResult> {
  return lab.node(node, `cxm ${line}`, { okExitCodes: 'any', timeoutMs: 300_000 });
}

/** @returns what went to standard output. @throws Error with everything it said */
export async function cxmOk(node: NodeName, line: string): Promise<string> {
  const { exitCode, stdout, stderr } = await cxm(node, line);
  if (exitCode === 0) return stdout;
  throw new Error(`cxm ${line} on ${node}: exit code ${exitCode}\n${stderr}${stdout}`);
}

export function other(node: NodeName): NodeName {
  return node === 'node1' ? 'node2' : 'node1';
}

/** Guests and active volumes of a node, sorted. */
export interface Places {
  readonly guests: readonly string[];
  readonly active: readonly string[];
}

export async function placesOn(node: NodeName): Promise<Places> {
  return {
    guests: [...(await guestsOn(node))].sort(),
    active: (await lab.logicalVolumes(node)).filter(({ active }) => active).map(({ name }) => name),
  };
}

export async function places(): Promise<Readonly<Record<(typeof both)[number], Places>>> {
  return { node1: await placesOn('node1'), node2: await placesOn('node2') };
}

/** What `placesOn` says of a node where these guests run, each on a volume of its name. */
export function only(...names: readonly string[]): Places {
  return { guests: names, active: names };
}
