/**
 * Two nodes of the lab as a cluster of cxm with one VM: real LVM and real ssh between them, and the simulated xl, whose
 * guests hold their disks open. Each test begins with the VM's volume inactive, and nothing that runs.
 */
import { afterAll, beforeEach, expect } from 'vitest';
import { lab, type RunResult } from '../lab.ts';
import type { NodeName } from '../layout.ts';

export const vm = 'web.example';
export const volume = 'web-disk';
export const both = ['node1', 'node2'] as const;
const conf = `ALLOWED_NODES = ['node1', 'node2']
SHUTDOWN_TIMEOUT = 5
CONNECT_TIMEOUT = 8
POST_MIGRATION_HOOK = "/root/hook"
`;
const config = `# made by hand
name = "${vm}"
memory = 64
kernel = "/boot/vmlinuz"
disk = ["phy:/dev/${lab.volumeGroup}/${volume},xvda,w"]
`;

/** For the head of a test file. */
export function useCluster(): void {
  beforeEach(async () => {
    await lab.reset();
    for (const node of both) {
      await lab.node(node, `cat > /etc/xen/cxm.conf; rm -f /root/hooked`, { input: conf });
      await lab.node(node, `cat > /etc/xen/vm/${vm}`, { input: config });
      await lab.node(node, 'cat > /root/hook; chmod +x /root/hook', { input: '#!/bin/sh\necho "$@" >>/root/hooked\n' });
      await turn(node, {});
    }
    await lab.node(
      'node1',
      `lvcreate -qq -y -Wn -Zn -L 16M -n ${volume} ${lab.volumeGroup}; lvchange -an ${lab.volumeGroup}/${volume}`,
    );
  });
  afterAll(async () => {
    await lab.reset();
    for (const node of both) await lab.node(node, 'rm -f /etc/xen/cxm.conf /root/hook /root/hooked');
  });
}

/** Knobs of the simulated xl. */
export function turn(node: NodeName, knobs: Readonly<Record<string, unknown>>): Promise<RunResult> {
  const text = JSON.stringify({ ignoreMissingKernel: true, acknowledgeTimeoutMs: 1000, ...knobs });
  return lab.node(node, 'mkdir -p /var/lib/xl-simulated && cat > /var/lib/xl-simulated/knobs.json', { input: text });
}

export function cxm(node: NodeName, line: string): Promise<RunResult> {
  return lab.node(node, `cxm ${line}`, { okExitCodes: 'any' });
}

export async function cxmOk(node: NodeName, line: string): Promise<string> {
  const { exitCode, stdout, stderr } = await cxm(node, line);
  if (exitCode === 0) return stdout;
  throw new Error(`cxm ${line} on ${node}: exit code ${exitCode}\n${stderr}${stdout}`);
}

export function domains(node: NodeName): Promise<string> {
  return lab.output(node, `xl list | awk 'NR > 1 && $2 > 0 {print $1}'`);
}

export async function active(node: NodeName): Promise<string[]> {
  return (await lab.logicalVolumes(node)).filter((one) => one.active).map(({ name }) => name);
}

/** The VM runs there and nowhere else, and so do its disks. */
export async function expectAt(place: NodeName): Promise<void> {
  const other = place === 'node1' ? 'node2' : 'node1';
  expect([await domains(place), await domains(other)]).toEqual([vm, '']);
  expect([await active(place), await active(other)]).toEqual([[volume], []]);
}

export async function expectNowhere(): Promise<void> {
  for (const node of both) expect([await domains(node), await active(node)]).toEqual(['', []]);
}
