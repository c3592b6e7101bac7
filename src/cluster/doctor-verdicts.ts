/** Lines of the doctor, and the two ways to come to them: each node for itself, and all nodes the same. Pure. */
import type { NodeFacts } from './doctor-facts.ts';

export type Verdict = 'ok' | 'warn' | 'fail';

/** What each check is about, as help and documentation have it. */
export const checkNames = {
  configuration: 'cxm.conf can be read, names nodes, and is the same on all of them',
  membership: 'this machine is one of ALLOWED_NODES',
  'vm-directory': 'VMCONF_DIR is the same on all nodes and can be read',
  access: 'every node answers',
  root: 'cxm is root on every node',
  ssh: 'each node reaches each other by ssh, as a migration needs it, and knows its host key',
  sshd: 'sshd of every node soon gives up a client that is dead, and with it the locks that it held',
  tools: 'the programs that cxm runs are there',
  toolstack: 'xl answers',
  'xen-version': 'every node has the same Xen',
  xendomains: 'no init script starts or migrates guests beside cxm',
  'volume-groups': "every node sees the volume groups of the VMs' disks, and they are the same ones",
  'lvm-locking': 'what LVM locks the groups with, and that it is switched on',
  autoactivation: 'LVM activates no volumes of VMs by itself',
  bridges: 'every node has the same bridges',
  'cxm-version': 'every node has the same cxm',
  'node-version': 'every node has the same Node.js',
  clock: 'the clocks of the nodes agree',
  fencing: 'nodes can be powered off',
  watchdog: 'a watchdog device, for WATCHDOG of cxm.conf',
} as const;

export type CheckName = keyof typeof checkNames;

export interface CheckResult {
  readonly check: CheckName;
  /** Nodes, or `node1 to node2`; empty for all. */
  readonly where: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** Empty when all is well. */
  readonly mend: string;
}

export type Fault = Pick<CheckResult, 'verdict' | 'found' | 'mend'>;

export function finding(check: CheckName, where: string, verdict: Verdict, found: string, mend = ''): CheckResult {
  return { check, where, verdict, found, mend };
}

/** A line for each fault with the nodes that have it, or one that says that all is well. */
export function perNode(
  check: CheckName,
  nodes: readonly NodeFacts[],
  well: string,
  fault: (node: NodeFacts) => Fault | undefined,
): CheckResult[] {
  const faults = new Map<string, CheckResult>();
  for (const node of nodes) {
    const found = fault(node);
    if (found === undefined) continue;
    const key = JSON.stringify([found.verdict, found.found, found.mend]);
    const others = faults.get(key);
    faults.set(key, { check, where: others === undefined ? node.node : `${others.where}, ${node.node}`, ...found });
  }
  return faults.size > 0 || nodes.length === 0 ? [...faults.values()] : [finding(check, '', 'ok', well)];
}

/** A value that must be one everywhere; nodes without one are another check's matter. `{}` stands for the value. */
export function same(
  check: CheckName,
  nodes: readonly NodeFacts[],
  pick: (node: NodeFacts) => string | undefined,
): (words: string, mend: string, verdict?: Verdict) => CheckResult[] {
  const holders = new Map<string, string[]>();
  for (const node of nodes) {
    const value = pick(node);
    if (value !== undefined) holders.set(value, [...(holders.get(value) ?? []), node.node]);
  }
  return (words, mend, verdict = 'warn') => {
    const [only, another] = [...holders.keys()];
    if (only === undefined) return [];
    if (another === undefined)
      return [
        finding(
          check,
          '',
          'ok',
          words.replace('{}', () => only),
        ),
      ];
    const all = [...holders].map(([value, names]) => `${words.replace('{}', () => value)} on ${names.join(', ')}`);
    return [finding(check, '', verdict, all.join('; '), mend)];
  };
}
