/** The last word of the daemon before a domain is made or sent, however long the work before that took. */
import { expect, test } from 'vitest';
import type { Cluster } from '../../src/cluster/cluster.ts';
import type { ClusterNode } from '../../src/cluster/node.ts';
import { clusterHypervisor, guarded, recent, requireNotAt } from '../../src/cxmd/cluster-hypervisor.ts';
import { VmWork } from '../../src/ha/daemon/vm-work.ts';
import type { Hypervisor, Started } from '../../src/ha/effects/hypervisor.ts';
import type { Result } from '../../src/ha/protocol/messages.ts';
import type { Work } from '../../src/ha/protocol/parts.ts';
import { createNode, type NodeState } from '../../src/ha/protocol/state.ts';
import { deriveTiming } from '../../src/ha/protocol/timing.ts';

class Toolstack {
  readonly made: string[] = [];
  create(path: string): Promise<void> {
    this.made.push(path);
    return Promise.resolve();
  }
  migrate(domain: string): Promise<void> {
    this.made.push(domain);
    return Promise.resolve();
  }
}

function clusterWith(toolstack: Toolstack): Cluster {
  const node = { name: 'alpha', toolstack, under: () => node } as unknown as ClusterNode;
  return { nodes: [node] } as unknown as Cluster;
}

test('a domain is neither made nor sent when the daemon has an obstacle at that moment, also under the lock of a VM', async () => {
  const toolstack = new Toolstack();
  const obstacles: string[] = [];
  const [node] = guarded(clusterWith(toolstack), { obstacle: () => obstacles[0] }).nodes;
  await node?.toolstack.create('/etc/xen/vm/web');
  expect(toolstack.made).toEqual(['/etc/xen/vm/web']);
  obstacles.push('this node was asleep');
  const refused = { code: 'REFUSED', message: expect.stringContaining('asleep') as string };
  await expect(node?.toolstack.create('/etc/xen/vm/web')).rejects.toMatchObject(refused);
  await expect(node?.under('web').toolstack.create('/etc/xen/vm/web')).rejects.toMatchObject(refused);
  await expect(node?.under('web').toolstack.migrate({ name: 'web' } as never, 'beta')).rejects.toMatchObject(refused);
  expect(toolstack.made).toHaveLength(1);
});

test('a domain is made when no node without cxmd says that it has it, and one that is silent is not waited for', async () => {
  const lists: Record<string, () => Promise<readonly { id: number; name: string }[]>> = {
    idle: () => Promise.resolve([{ id: 1, name: 'mail' }]),
    dead: () => Promise.reject(new Error('no route to host')),
    hung: () => new Promise(() => undefined),
    busy: () => Promise.resolve([{ id: 2, name: 'web' }]),
  };
  const clusterOf = (...names: readonly string[]): Cluster => {
    const nodes = names.map((name) => ({ name, toolstack: { list: lists[name] } }));
    return { nodes } as unknown as Cluster;
  };
  const toolstack = new Toolstack();
  const make = (...names: readonly string[]): Promise<void> | undefined => {
    const look = (): Promise<void> => requireNotAt(clusterOf(...names), 'web');
    return guarded(clusterWith(toolstack), { obstacle: () => undefined }, look).nodes[0]?.toolstack.create('web');
  };
  await make('idle', 'dead', 'hung');
  expect(toolstack.made).toEqual(['web']);
  const message = 'busy, which is no member, has web';
  await expect(make('idle', 'dead', 'busy', 'hung')).rejects.toMatchObject({ code: 'REFUSED', message });
  expect(toolstack.made).toEqual(['web']);
});

test('a look is used for five seconds, its refusal too, and then made anew', async () => {
  let nowMs = 0;
  let looks = 0;
  const look = recent(
    () => ((looks += 1) === 1 ? Promise.resolve() : Promise.reject(new Error('busy has web'))),
    () => nowMs,
  );
  await look();
  nowMs = 5000;
  await look();
  nowMs = 5001;
  await expect(look()).rejects.toThrow('busy has web');
  await expect(look()).rejects.toThrow('busy has web');
  expect(looks).toBe(2);
});

test.each<[string, { readonly name: string | undefined; readonly state?: object }, boolean]>([
  ['that arrives', { name: 'mail--incoming' }, true],
  ['that has no name', { name: undefined }, true],
  ['that is being saved', { name: 'mail', state: { shutdown: 'suspend' } }, true],
  ['that runs', { name: 'mail' }, false],
])('a domain %s is told besides the VMs, unless it is one', async (_, row, others) => {
  const flags = { paused: false, dying: false };
  const rows = [
    { id: 0, name: 'Domain-0', state: flags },
    { id: 4, name: 'web', state: flags },
    { id: 5, ...row, state: { ...flags, ...row.state } },
  ];
  const open = (): Cluster =>
    ({ nodes: [{ name: 'alpha', toolstack: { list: () => Promise.resolve(rows) } }] }) as unknown as Cluster;
  const found = await clusterHypervisor({ rules: () => ({}), localName: 'alpha', open }).list();
  expect(found).toEqual({ vms: others ? ['web'] : ['web', 'mail'], others });
});

/** A shell whose clock and state are moved by hand, and a hypervisor that prepares until it is told to go on. */
function rig() {
  const toolstack = new Toolstack();
  const results: Result[] = [];
  let nowMs = 1000;
  const timing = deriveTiming(3);
  const config = { self: 0, nodes: ['alpha', 'beta'], diskId: 'disk', timing, fencing: 'with-status' } as const;
  const token = { epoch: 1, owner: 0 };
  const work: Work = {
    ...{ id: 5, vm: 'web', source: -1, token },
    origin: { kind: 'former' },
    phase: 'running',
    ...{ sequence: 1, claimedMs: 0, deadlineMs: 1e6, endedMs: 0, certain: false, answer: undefined },
    ...{ unclear: '', provenMs: 900, elsewhere: '' },
  };
  let state: NodeState = {
    ...createNode({ ...config, watchdogArmed: false }),
    role: 'passive',
    ...{ lastTickMs: 900, slotWrittenMs: 900, readIssuedMs: 900, works: [work] },
  };
  let prepared = (): void => undefined;
  const start: Hypervisor['start'] = async (order): Promise<Started> => {
    await new Promise<void>((resolve) => (prepared = resolve));
    try {
      await guarded(clusterWith(toolstack), order).nodes[0]?.toolstack.create(order.vm);
      return { outcome: 'running', reason: '' };
    } catch (error) {
      return { outcome: 'refused', reason: (error as Error).message };
    }
  };
  const vmWork = new VmWork({
    hypervisor: { start } as unknown as Hypervisor,
    clock: () => nowMs,
    state: () => state,
    rules: () => ({ first: [], never: [] }),
    done: (_id, result) => void results.push(result),
  });
  const id = work.id;
  vmWork.start({ kind: 'start', id, vm: 'web', source: -1, token, notAfterMs: 3600 });
  /** The time of the order has passed. Everything that happens each second has gone on, but for what is given. */
  const end = async (afterMs: number, change: Partial<NodeState>, provenMs = afterMs): Promise<void> => {
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    nowMs = afterMs + 100;
    const works = [{ ...work, provenMs }];
    state = { ...state, lastTickMs: afterMs, slotWrittenMs: afterMs, readIssuedMs: afterMs, works, ...change };
    prepared();
    await expect.poll(() => results, { timeout: 20_000 }).toHaveLength(1);
  };
  return { toolstack, results, end };
}

test('a VM whose preparation outlasts its order is made when the claim was read again since', async () => {
  const { toolstack, end } = rig();
  await end(60_000, {});
  expect(toolstack.made).toEqual(['web']);
});

test.each<[string, Partial<NodeState>, number]>([
  ['no read since has found its claim', {}, 50_000],
  ['this node slept', { lastTickMs: 50_000 }, 60_000],
  ['this node could not write its slot', { slotWrittenMs: 50_000 }, 60_000],
  ['this node is no member any more', { role: 'alone' }, 60_000],
])('a VM whose preparation outlasts its order is not made when %s', async (_, change, provenMs) => {
  const { toolstack, results, end } = rig();
  await end(60_000, change, provenMs);
  expect(toolstack.made).toEqual([]);
  expect(results).toMatchObject([{ kind: 'start', outcome: 'refused' }]);
});
