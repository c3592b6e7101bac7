/**
 * A cluster of three real cxmd for one test: made, joined, with VMs that the others know of, and ended when the test ends.
 */
import { afterEach, expect } from 'vitest';
import { ClusterRig, nodeNames, type NodeName, type RigOptions } from './cluster-rig.ts';

let rig: ClusterRig | undefined;
let rigs = 0;

export async function cluster(options: Partial<RigOptions> = {}): Promise<ClusterRig> {
  rig = new ClusterRig({ number: (rigs += 1), ...options });
  expect((await rig.format()).exitCode).toBe(0);
  return rig;
}

/** All of them, with one master. */
export async function joined(current: ClusterRig, nodes: readonly NodeName[] = nodeNames): Promise<NodeName> {
  current.start(...nodes);
  return settled(current, nodes);
}

export async function settled(current: ClusterRig, nodes: readonly NodeName[]): Promise<NodeName> {
  let master: string | undefined;
  await expect
    .poll(
      async () => {
        const all = await Promise.all(nodes.map((node) => current.status(node)));
        const masters = new Set(all.map((status) => status?.master));
        master = all[0]?.master;
        return all.every((status) => status?.isMember === true) && masters.size === 1 && master !== undefined;
      },
      { timeout: 45_000, interval: 300 },
    )
    .toBe(true);
  return master as NodeName;
}

/** Starts the VM under the simulated xl and waits until the others know it from the slot. */
export async function running(current: ClusterRig, name: string, node: NodeName): Promise<void> {
  current.sandbox.addVm(name);
  const { exitCode, stderr } = await current.sandbox.cxm(['create', name, '-f', node, '--quiet'], { at: node });
  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
  await expect
    .poll(async () => (await current.nodes(node)).find((one) => one.name === node)?.vms, { timeout: 15_000 })
    .toContain(name);
  // One more heartbeat, so that it stands in the slot that the others have read.
  await pause(2500);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * For the top of a test file: its clusters are ended after each test, and what the nodes have said is shown when one fails.
 * @param number of the first one; each has its own addresses, since files run side by side
 */
export function clustersFrom(number: number): void {
  rigs = number - 1;
  afterEach(async (context) => {
    if (context.task.result?.state === 'fail' && rig !== undefined) {
      for (const node of nodeNames) process.stderr.write(`--- ${node}\n${rig.log(node)}\n`);
    }
    await rig?.close();
    rig = undefined;
  });
}
