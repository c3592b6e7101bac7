/**
 * What a migration that nobody concluded leaves, because its cxm was killed while xl went on: a VM that runs, whose volumes
 * are active on a second node, without its autostart link, perhaps beside the shell of its former domain, and of whose
 * move nobody was told. Whoever asks for the migration again gets all of this mended.
 */
import { CxmError } from '../errors.ts';
import { formatVolumeName } from '../lvm/device-path.ts';
import { meaningOf, rowsOf, type DomainRow } from '../xen/domain-list.ts';
import { tidyUp, type PlainStep } from './carry-out.ts';
import { askNodes, nodeNamed, type Cluster } from './cluster.ts';
import { sortedDisks } from './definition.ts';
import { removeShells } from './migrate-outcome.ts';
import type { ClusterNode } from './node.ts';
import type { BegunMove } from './node-moves.ts';
import { volumeIdentity, volumeIn, type NodeSight } from './survey.ts';
import type { VmLock } from './vm-lock.ts';

/** The VM is where it is wanted. */
export interface MendPlan {
  readonly kind: 'there';
  readonly vm: string;
  readonly node: string;
  /** Nodes on which a suspended domain of it was left, which is destroyed first of all. */
  readonly shells: readonly string[];
  /** What the administrator should know. */
  readonly remarks: readonly string[];
  /** None when all is well. */
  readonly steps: readonly PlainStep[];
}

interface Found {
  readonly node: string;
  readonly row: DomainRow;
}

/** @throws CxmError XEN, HOST_UNREACHABLE */
export async function planMend(
  cluster: Cluster,
  sights: readonly NodeSight[],
  vm: string,
  { node, row }: Found,
): Promise<MendPlan> {
  const body = nodeNamed(cluster, node);
  const [own, others] = [sights.find((sight) => sight.node === node), sights.filter((sight) => sight.node !== node)];
  if (own === undefined) throw new CxmError('INTERNAL', `${node} was not surveyed`);
  const [begun, details] = await Promise.all([body.moves.read(vm), body.toolstack.details(row.id)]);
  const disks = details.find(({ id }) => id === row.id)?.disks.filter(({ target }) => target !== '');
  if (disks === undefined) throw new CxmError('XEN', `${node} does not say which devices ${vm} has`);
  const { volumes } = sortedDisks(disks);
  const shells = others.filter(({ rows }) => rowsOf(rows, vm).some((left) => meaningOf(left) === 'leaving'));
  const active = others.flatMap((sight) =>
    volumes
      .filter((volume) => volumeIn(sight, volume)?.active === true)
      .filter((volume) => volumeIdentity(sight, volume) === volumeIdentity(own, volume))
      .map((volume) => ({ sight, volume })),
  );
  // What nobody of the VM's has open is somebody else's, and would not be let go.
  const isForeign = ({ sight, volume }: (typeof active)[number]): boolean =>
    volumeIn(sight, volume)?.open === true && !shells.includes(sight);
  const away = active.filter((one) => !isForeign(one));
  const plan = { kind: 'there', vm, node, shells: shells.map((sight) => sight.node) } as const;
  const remarks = active
    .filter(isForeign)
    .map(({ sight, volume }) => `${formatVolumeName(volume)} of ${vm} is in use on ${sight.node}, too`);
  if (begun === undefined && shells.length + away.length === 0) return { ...plan, remarks, steps: [] };
  const places = [...new Set([...shells, ...away.map(({ sight }) => sight)])].map((sight) => sight.node);
  const source = sourceOf(cluster, node, begun, places);
  const steps: PlainStep[] = [
    ...away.map(({ sight, volume }) => ({ kind: 'deactivate' as const, node: sight.node, volume, wasActive: true })),
    ...volumes.map((volume) => ({ kind: 'activate', node, volume, mode: 'exclusive', wasActive: true }) as const),
    ...(begun?.linked === true ? await linkUnlessLinked(body, sights, vm) : []),
    ...(source === undefined ? [] : [{ kind: 'hook', vm, source, destination: node } as const]),
  ];
  return { ...plan, remarks, steps };
}

/** Where the VM has come from; undefined if it never left, or nobody knows. */
function sourceOf(
  { nodes }: Cluster,
  node: string,
  begun: BegunMove | undefined,
  places: readonly string[],
): string | undefined {
  if (begun === undefined) return places.length === 1 ? places[0] : undefined;
  return begun.destination === node && nodes.some(({ name }) => name === begun.source) ? begun.source : undefined;
}

/** Somebody may have set one since, and one is enough. */
async function linkUnlessLinked(body: ClusterNode, sights: readonly NodeSight[], vm: string): Promise<PlainStep[]> {
  if (sights.some(({ links }) => links.has(vm))) return [];
  const config = await body.files.readConfig(vm);
  return config === undefined ? [] : [{ kind: 'link', node: body.name, vm, configPath: config.path }];
}

/** What fails is told, and remembered for the next one who asks. @returns false when all was well already */
export async function mend(cluster: Cluster, plan: MendPlan, lock: VmLock): Promise<boolean> {
  for (const remark of plan.remarks) cluster.reporter.note('WARN', remark);
  if (isWell(plan)) return false;
  lock.check();
  let clean = true;
  for (const node of plan.shells) clean = (await removeShells(cluster, node, plan.vm)) && clean;
  clean = (await tidyUp(cluster, plan.steps, lock)) && clean;
  if (clean) await forgetMove(cluster, plan.vm);
  return true;
}

export function isWell({ shells, steps }: MendPlan): boolean {
  return shells.length + steps.length === 0;
}

/**
 * VMs whose migration was begun so long ago or longer, and of which nobody has said that it is concluded. Nodes that are
 * silent are left out.
 */
export async function unfinishedMoves({ nodes }: Cluster, ageSeconds: number): Promise<readonly string[]> {
  const { answers } = await askNodes(nodes, ({ moves }) => moves.begun(ageSeconds));
  return [...new Set(answers.flatMap(({ value }) => value))].sort();
}

/** On both nodes on which the VM can be afterwards. @throws CxmError before anything is changed */
export async function rememberMove(cluster: Cluster, vm: string, move: BegunMove): Promise<void> {
  const nodes = [move.source, move.destination].map((name) => nodeNamed(cluster, name));
  const [failed] = (await askNodes(nodes, (node) => node.under(vm).moves.write(vm, move))).silent;
  if (failed === undefined) return;
  const { node, error } = failed;
  throw new CxmError(error.code, `${node} could not note that ${vm} moves: ${error.message}`, { cause: error });
}

/** The VM is where it belongs, and so is all that goes with it. */
export async function forgetMove(cluster: Cluster, vm: string): Promise<void> {
  const { silent } = await askNodes(cluster.nodes, (node) => node.under(vm).moves.remove(vm));
  for (const { node, error } of silent) {
    cluster.reporter.note('WARN', `${node} may still take ${vm} for one that moves: ${error.message}`);
  }
}
