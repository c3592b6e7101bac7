/**
 * For those who start, move or remove a VM on their node by themselves, as the OpenNebula drivers do: the cluster's part of
 * it. While they work they hold the VM, no other node has its volumes, and it runs nowhere else.
 */
import { CxmError } from '../errors.ts';
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import { meaningOf, rowsOf } from '../xen/domain-list.ts';
import { carryOut, tidyUp, type PlainStep } from './carry-out.ts';
import { askNodes, nodeNamed, requireAll, type Cluster } from './cluster.ts';
import { wordsOf } from './locate.ts';
import { planMigration } from './migrate.ts';
import { fingerprint } from './node-files.ts';
import {
  answersOf,
  surveyNodes,
  volumeIdentity,
  volumeIn,
  whereabouts,
  type NodeSight,
  type Survey,
} from './survey.ts';
import { withVmLock, type VmLock } from './vm-lock.ts';

export interface GuardedStart {
  readonly vm: string;
  /** Where it is to start. */
  readonly node: string;
  readonly volumes: readonly VolumeName[];
}

/** What became of the guarded work. */
export type GuardedOutcome = 'done' | 'given-up';

/** Not waited for any more when the VM is held no longer. */
export type GuardedWork = () => Promise<GuardedOutcome>;

/**
 * @throws CxmError REFUSED when the VM is on another node in any state, IN_USE when a volume can't be deactivated there or
 * another cxm works on the VM, HOST_UNREACHABLE; then nothing was begun
 */
export function guardStart(cluster: Cluster, start: GuardedStart, work: GuardedWork): Promise<void> {
  return withVmLock(cluster, start.vm, async (lock) => {
    const survey = await surveyNodes(cluster);
    requireAll(answersOf(survey));
    const { running, traces } = whereabouts(survey.sights, start.vm);
    const away = [...running, ...traces].find(({ node }) => node !== start.node);
    if (away !== undefined) throw new CxmError('REFUSED', `${start.vm} is ${wordsOf(away.row)} on ${away.node}`);
    await cluster.requireUsable?.(start.node);
    await carryOut(cluster, elsewhere(survey, start), lock);
    if ((await whileHeld(cluster, lock, work)) === 'given-up') return;
    const strays = survey.sights.filter(({ node, links }) => node !== start.node && links.has(start.vm));
    await tidyUp(
      cluster,
      strays.map(({ node, links }) => ({ kind: 'unlink', node, vm: start.vm, configPath: links.get(start.vm) ?? '' })),
      lock,
    );
  });
}

/**
 * Keeps a VM where it runs. The node's own lock is enough, since whoever moves a VM needs those of all nodes; so one that is
 * silent stands in nobody's way.
 * @throws CxmError REFUSED when it does not run there, or is arriving or leaving, IN_USE; then nothing was begun
 */
export function guardStay(
  cluster: Cluster,
  { vm, node }: Pick<GuardedStart, 'vm' | 'node'>,
  work: GuardedWork,
): Promise<void> {
  const body = nodeNamed(cluster, node);
  const alone = { ...cluster, nodes: [body] };
  return withVmLock(alone, vm, async (lock) => {
    const rows = rowsOf(await body.toolstack.list(), vm);
    if (rows.length === 0) throw new CxmError('REFUSED', `${vm} does not run on ${node}`);
    const moving = rows.find((row) => ['incoming', 'leaving'].includes(meaningOf(row)));
    if (moving !== undefined) throw new CxmError('REFUSED', `${vm} is ${wordsOf(moving)} on ${node}`);
    await whileHeld(alone, lock, work);
  });
}

/**
 * Holds a VM that somebody else migrates.
 * @throws CxmError REFUSED with every obstacle, and those of planMigration; then nothing was begun
 */
export function guardMigration(
  cluster: Cluster,
  { vm, destination }: { readonly vm: string; readonly destination: string },
  work: GuardedWork,
): Promise<void> {
  return withVmLock(cluster, vm, async (lock) => {
    // The drivers bring the configuration along where the nodes don't share it.
    await planMigration(cluster, { vm, destination, ignore: ['config'] });
    await whileHeld(cluster, lock, work);
  });
}

/**
 * Holds a VM that somebody else works on, or ends, on this node. It must not depend on other nodes; without this node's part
 * of the lock, which no broken connection takes away, nobody brings the VM anywhere.
 * @throws CxmError IN_USE, HOST_UNREACHABLE; then nothing was begun
 */
export async function guardWork(
  cluster: Cluster,
  { vm, node }: { readonly vm: string; readonly node: string },
  work: GuardedWork,
): Promise<void> {
  nodeNamed(cluster, node);
  await withVmLock(cluster, vm, () => work(), { needed: [node] });
}

/** The connections to the nodes are looked at while somebody else works. */
const lookAgainMs = 500;

async function whileHeld(cluster: Cluster, lock: VmLock, work: GuardedWork): Promise<GuardedOutcome> {
  const working = work();
  let over = false;
  const watch = async (): Promise<never> => {
    for (;;) {
      await cluster.clock.sleep(lookAgainMs);
      if (over) return new Promise(() => undefined);
      lock.check();
    }
  };
  try {
    return await Promise.race([working, watch()]);
  } finally {
    over = true;
  }
}

/**
 * Makes volumes inactive on every node but one, because they are to be activated or removed there. Who starts a VM holds
 * another lock than this one; as both activate first and look then, one of them sees the other.
 * @throws CxmError IN_USE, HOST_UNREACHABLE; then nothing was begun, or it is to be given up
 */
export async function releaseElsewhere(
  cluster: Cluster,
  { node, volumes }: Pick<GuardedStart, 'node' | 'volumes'>,
  work: GuardedWork,
): Promise<void> {
  const [first] = volumes;
  if (first === undefined) throw new CxmError('INVALID_INPUT', 'no volume was named');
  await withVmLock(cluster, volumeLock(first), async (lock) => {
    const survey = await surveyNodes(cluster);
    requireAll(answersOf(survey));
    await carryOut(cluster, elsewhere(survey, { node, volumes }), lock);
    if ((await whileHeld(cluster, lock, work)) === 'done') await requireOnlyHere(cluster, { node, volumes });
  });
}

/** By itself, since a volume is no VM's by anything we know: readable, and as short as the name of a lock has to be. */
function volumeLock(volume: VolumeName): string {
  const name = formatVolumeName(volume);
  return `volume-${name.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 40)}-${fingerprint(name).slice(0, 12)}`;
}

/** What is still there is active on that node, and on no other. @throws CxmError IN_USE, HOST_UNREACHABLE */
async function requireOnlyHere(
  cluster: Cluster,
  { node, volumes }: Pick<GuardedStart, 'node' | 'volumes'>,
): Promise<void> {
  const own = await nodeNamed(cluster, node).inventory();
  const left = volumes.filter((volume) => volumeIn(own, volume) !== undefined);
  if (left.length === 0) return;
  const others = cluster.nodes.filter(({ name }) => name !== node);
  const answers = requireAll(await askNodes(others, (other) => other.inventory()));
  for (const volume of left) {
    const other = answers.find(
      ({ value }) =>
        volumeIn(value, volume)?.active === true && volumeIdentity(value, volume) === volumeIdentity(own, volume),
    );
    const isHere = volumeIn(own, volume)?.active === true;
    if (isHere && other === undefined) continue;
    const what = isHere ? `activated on ${other?.node ?? ''}` : `deactivated on ${node}`;
    throw new CxmError('IN_USE', `${formatVolumeName(volume)} was ${what} meanwhile`, {
      hint: 'a VM is being started with it, or somebody works on it: see `cxm check`',
    });
  }
}

function elsewhere(survey: Survey, { node, volumes }: Pick<GuardedStart, 'node' | 'volumes'>): PlainStep[] {
  const own = survey.sights.find((sight) => sight.node === node);
  if (own === undefined) throw new CxmError('NOT_FOUND', `${node} is no node of the cluster`);
  return survey.sights
    .filter((sight) => sight.node !== node)
    .flatMap((sight) => volumes.flatMap((volume) => deactivation(own, sight, volume)));
}

function deactivation(own: NodeSight, sight: NodeSight, volume: VolumeName): PlainStep[] {
  const found = volumeIn(sight, volume);
  if (found?.active !== true || volumeIdentity(sight, volume) !== volumeIdentity(own, volume)) return [];
  if (found.open) throw new CxmError('IN_USE', `${formatVolumeName(volume)} is in use on ${sight.node}`);
  return [{ kind: 'deactivate', node: sight.node, volume, wasActive: true }];
}
