/**
 * Live migration: the VM runs at the destination afterwards and nowhere else, or it runs on at the source. What xl says is
 * never enough: both nodes are looked at before anything is switched off. When it can't be seen where the VM is, nothing is
 * switched off at all, and the error says so. While it moves no node has an autostart link of it, since one that a crash
 * left behind would start the VM a second time. What one that is killed has left undone, its repetition does.
 */
import { asCxmError, CxmError } from '../errors.ts';
import type { VolumeName } from '../lvm/device-path.ts';
import type { DomainRow } from '../xen/domain-list.ts';
import { carryOut, takeBack, tidyUp, type PlainStep } from './carry-out.ts';
import { changedAfter, hasEnded } from './certainty.ts';
import { nodeNamed, requireAll, type Cluster } from './cluster.ts';
import { sortedDisks } from './definition.ts';
import { runsOnSeveral } from './locate.ts';
import { neverIgnored, obstaclesTo, type MigrationFacts, type Obstacle } from './migrate-checks.ts';
import { forgetMove, mend, planMend, rememberMove, type MendPlan } from './migrate-mend.ts';
import { isShell, outcomeOf, removeShells, undecided } from './migrate-outcome.ts';
import { checkedName, fingerprint } from './node-files.ts';
import type { BegunMove } from './node-moves.ts';
import { describeStep, type Step } from './steps.ts';
import { answersOf, surveyNodes, volumeIdentity, volumeIn, whereabouts, type NodeSight } from './survey.ts';
import { withVmLock, type VmLock } from './vm-lock.ts';

export interface MigrateRequest {
  readonly vm: string;
  readonly destination: string;
  /** Obstacles of these kinds are told, and not heeded; those of volumes always are. */
  readonly ignore?: readonly Obstacle['kind'][];
}

export interface MigratePlan {
  readonly kind: 'move';
  readonly vm: string;
  readonly source: string;
  readonly destination: string;
  readonly domainId: number;
  readonly memoryMib: number;
  readonly obstacles: readonly Obstacle[];
  /** What the nodes remember until it is concluded. */
  readonly begun: BegunMove;
  /** An earlier migration has removed it, and nobody has set it again. */
  readonly linkIsLost: boolean;
  readonly before: readonly PlainStep[];
  readonly migrate: Extract<Step, { kind: 'migrate' }>;
  readonly after: readonly PlainStep[];
}

export interface MigrateResult {
  readonly source: string;
  readonly alreadyThere: boolean;
  /** It was there already, but not all that goes with it. */
  readonly mended: boolean;
}

/** A destination without power sends nothing at all. */
const connectionLostMs = 15_000;

/**
 * The plan as a dry run shows it; of kind 'there' when the VM runs at the destination already.
 * @throws CxmError REFUSED with every obstacle, NOT_FOUND, HOST_UNREACHABLE
 */
export async function planMigration(cluster: Cluster, request: MigrateRequest): Promise<MigratePlan | MendPlan> {
  const { vm, destination } = request;
  nodeNamed(cluster, destination);
  const survey = await surveyNodes(cluster);
  requireAll(answersOf(survey));
  const found = requireOne(survey.sights, checkedName(vm), destination);
  if (found.node === destination) return planMend(cluster, survey.sights, vm, found);
  await cluster.requireUsable?.(destination);
  const begun = await nodeNamed(cluster, found.node).moves.read(vm);
  const facts = await gatherFacts(cluster, survey.sights, { vm, destination, found });
  const obstacles = await allObstacles(cluster, facts);
  requireNoObstacle(request, facts.source.node, obstacles);
  return planOf(survey.sights, facts, { obstacles, begun });
}

/** @throws CxmError as planMigration, and of the toolstack; `changed` says what became of the VM */
export function migrateVm(cluster: Cluster, request: MigrateRequest): Promise<MigrateResult> {
  return withVmLock(cluster, checkedName(request.vm), async (lock) => {
    const plan = await planMigration(cluster, request);
    if (plan.kind === 'there') {
      return { source: request.destination, alreadyThere: true, mended: await mend(cluster, plan, lock) };
    }
    for (const { text } of plan.obstacles) cluster.reporter.note('WARN', text);
    await prepare(cluster, plan, lock);
    const failure = await move(cluster, plan, lock);
    await conclude(cluster, plan, failure, lock);
    return { source: plan.source, alreadyThere: false, mended: false };
  });
}

/**
 * Does what a migration that was cut off has left undone, wherever the VM runs now.
 * @returns false when there was nothing to do
 * @throws CxmError NOT_FOUND when it runs nowhere, REFUSED, IN_USE, HOST_UNREACHABLE
 */
export function concludeMigration(cluster: Cluster, vm: string): Promise<boolean> {
  return withVmLock(cluster, checkedName(vm), async (lock) => {
    const survey = await surveyNodes(cluster);
    requireAll(answersOf(survey));
    const [place] = whereabouts(survey.sights, vm).running;
    const found = requireOne(survey.sights, vm, place?.node);
    const isMended = await mend(cluster, await planMend(cluster, survey.sights, vm, found), lock);
    if (!isMended) await forgetMove(cluster, vm);
    return isMended;
  });
}

/** What a migration to the destination has left elsewhere is in nobody's way. */
function requireOne(
  sights: readonly NodeSight[],
  vm: string,
  destination: string | undefined,
): { readonly node: string; readonly row: DomainRow } {
  const { running, traces } = whereabouts(sights, vm);
  if (running.length > 1) throw runsOnSeveral(vm, running);
  const [found] = running;
  if (found === undefined) throw new CxmError('NOT_FOUND', `${vm} runs on no node`);
  const isLeft = ({ node, row }: (typeof traces)[number]): boolean => node !== found.node && isShell(row);
  const trace = traces.find((one) => found.node !== destination || !isLeft(one));
  if (trace === undefined) return found;
  const isOnlyLeft = traces.every(isLeft);
  throw new CxmError(
    'REFUSED',
    `${vm} runs on ${found.node}, but ${trace.node} has domain ${trace.row.id} of it, too`,
    {
      hint: isOnlyLeft
        ? `a migration was cut off: \`cxm migrate ${vm} ${found.node}\` removes what it has left`
        : 'another migration is under way, or one was cut off: look with `xl list`, and destroy what it has left',
    },
  );
}

interface Request {
  readonly vm: string;
  readonly destination: string;
  readonly found: { readonly node: string; readonly row: DomainRow };
}

async function gatherFacts(
  cluster: Cluster,
  sights: readonly NodeSight[],
  { vm, destination, found }: Request,
): Promise<MigrationFacts> {
  const [source, target] = [found.node, destination].map((name) => sights.find(({ node }) => node === name));
  if (source === undefined || target === undefined) throw new CxmError('INTERNAL', 'a node was not surveyed');
  const node = nodeNamed(cluster, found.node);
  const [here, there, all] = await Promise.all([
    node.files.readConfig(vm),
    nodeNamed(cluster, destination).files.readConfig(vm),
    node.toolstack.details(found.row.id),
  ]);
  const details = all.find(({ id }) => id === found.row.id);
  if (details === undefined) throw new CxmError('XEN', `${found.node} does not say which devices ${vm} has`);
  return {
    vm,
    row: found.row,
    source,
    destination: target,
    details,
    ...sortedDisks(details.disks.filter(({ target: device }) => device !== '')),
    configPath: there?.path,
    configDiffers: here !== undefined && there !== undefined && fingerprint(here.text) !== fingerprint(there.text),
  };
}

/** With what only a try can tell: whether xl on the source comes to the destination. */
async function allObstacles(cluster: Cluster, facts: MigrationFacts): Promise<readonly Obstacle[]> {
  const { source, destination } = facts;
  const reach = await nodeNamed(cluster, source.node)
    .system.reach(destination.node)
    .then(
      () => [],
      (error: unknown): Obstacle[] => [
        {
          kind: 'name',
          text: `${source.node} can't reach ${destination.node}: ${asCxmError(error).message}`,
          warning: false,
        },
      ],
    );
  return [...obstaclesTo(facts), ...reach];
}

function requireNoObstacle(
  { vm, destination, ignore = [] }: MigrateRequest,
  source: string,
  all: readonly Obstacle[],
): void {
  const ignored = ignore.filter((kind) => !neverIgnored.includes(kind));
  const stopping = all.filter(({ warning, kind }) => !warning && !ignored.includes(kind));
  if (stopping.length === 0) return;
  const reasons = stopping.map(({ text }) => text).join('; ');
  throw new CxmError('REFUSED', `${vm} can't be migrated from ${source} to ${destination}: ${reasons}`, {
    hint: 'it runs on where it is; mend what is named, and try again',
  });
}

interface Circumstances {
  readonly obstacles: readonly Obstacle[];
  /** An earlier migration of which nobody knows the end. */
  readonly begun: BegunMove | undefined;
}

function planOf(sights: readonly NodeSight[], facts: MigrationFacts, { obstacles, begun }: Circumstances): MigratePlan {
  const { vm, row, source, destination, volumes, readOnlyVolumes } = facts;
  const configPath = facts.configPath;
  const linked = sights.filter(({ links }) => links.has(vm));
  const onlyThere = linked.length === 1 && linked[0]?.node === destination.node;
  const links = onlyThere || configPath === undefined ? [] : linked;
  // A link that an earlier one has removed follows the VM, too; one that somebody has set since is that link.
  const isLost = begun?.linked === true && linked.length === 0;
  const shared = (volume: VolumeName) => ({
    kind: 'activate' as const,
    node: destination.node,
    volume,
    mode: 'shared' as const,
    wasActive: volumeIn(destination, volume)?.active === true,
  });
  const before: PlainStep[] = [
    ...links.map(({ node, links: own }) => ({ kind: 'unlink' as const, node, vm, configPath: own.get(vm) ?? '' })),
    ...awayFromOthers(sights, facts),
    ...sharedAtSource(source, volumes),
    ...volumes.map(shared),
    ...readOnlyVolumes.map((volume) => ({ ...shared(volume), unlessRead: true as const })),
  ];
  const after: PlainStep[] = [
    ...volumes.map((volume) => ({ kind: 'deactivate' as const, node: source.node, volume, wasActive: true })),
    ...readOnlyVolumes.map((volume) => ({
      kind: 'deactivate' as const,
      node: source.node,
      volume,
      wasActive: true,
      unlessRead: true as const,
    })),
    ...volumes.map((volume) => ({
      kind: 'activate' as const,
      node: destination.node,
      volume,
      mode: 'exclusive' as const,
      wasActive: true,
    })),
    ...((links.length > 0 || isLost) && configPath !== undefined
      ? [{ kind: 'link' as const, node: destination.node, vm, configPath }]
      : []),
    { kind: 'hook', vm, source: source.node, destination: destination.node },
  ];
  return {
    kind: 'move',
    vm,
    source: source.node,
    destination: destination.node,
    begun: { source: source.node, destination: destination.node, linked: links.length > 0 || isLost },
    linkIsLost: isLost,
    domainId: row.id,
    memoryMib: row.memoryMib,
    obstacles,
    before,
    migrate: { kind: 'migrate', vm, source: source.node, destination: destination.node },
    after,
  };
}

/** What a migration that was cut off has left active on a third node. */
function awayFromOthers(sights: readonly NodeSight[], { source, destination, volumes }: MigrationFacts): PlainStep[] {
  return sights
    .filter((sight) => sight !== source && sight !== destination)
    .flatMap((sight) =>
      volumes
        .filter((volume) => volumeIn(sight, volume)?.active === true)
        .filter((volume) => volumeIdentity(sight, volume) === volumeIdentity(source, volume))
        .map((volume) => ({ kind: 'deactivate' as const, node: sight.node, volume, wasActive: true })),
    );
}

/** Under lvmlockd the source has to give up its exclusive lock before anybody else can have a shared one. */
function sharedAtSource(source: NodeSight, volumes: readonly VolumeName[]): PlainStep[] {
  const locked = (volume: VolumeName): boolean =>
    source.groups.some(({ name, lockType }) => name === volume.group && lockType !== '');
  return volumes.filter(locked).map((volume) => ({
    kind: 'activate',
    node: source.node,
    volume,
    mode: 'shared',
    wasActive: true,
    wasExclusive: true,
  }));
}

/** @throws CxmError as carryOut */
async function prepare(cluster: Cluster, { vm, begun, linkIsLost, before }: MigratePlan, lock: VmLock): Promise<void> {
  await rememberMove(cluster, vm, begun);
  try {
    await carryOut(cluster, before, lock);
  } catch (error) {
    if (asCxmError(error).changed === 'rolled-back' && !linkIsLost) await forgetMove(cluster, vm);
    throw error;
  }
}

/** @returns what xl reported, if that was no success */
async function move(cluster: Cluster, plan: MigratePlan, lock: VmLock): Promise<CxmError | undefined> {
  try {
    lock.check();
    cluster.reporter.step(describeStep(plan.migrate));
    const { toolstack } = nodeNamed(cluster, plan.source).under(plan.vm);
    const deadlineMs = cluster.settings.migrateTimeoutMs;
    await toolstack.migrate(plan.domainId, plan.destination, { deadlineMs, connectionLostMs });
    return undefined;
  } catch (error) {
    return asCxmError(error);
  }
}

async function conclude(
  cluster: Cluster,
  plan: MigratePlan,
  failure: CxmError | undefined,
  lock: VmLock,
): Promise<void> {
  const outcome = await outcomeOf(cluster, plan, hasEnded(failure));
  if (outcome === 'moved') {
    if (failure !== undefined) {
      cluster.reporter.note(
        'WARN',
        `xl reported a failure, but ${plan.vm} runs on ${plan.destination}: ${failure.message}`,
      );
    }
    const isRemoved = await removeShells(cluster, plan.source, plan.vm);
    if ((await tidyUp(cluster, plan.after, lock)) && isRemoved) await forgetMove(cluster, plan.vm);
    return;
  }
  const said = failure === undefined ? 'xl reported success' : failure.message;
  const code = failure?.code ?? 'XEN';
  const hint = failure?.hint;
  if (outcome === 'stayed') {
    const clean = await takeBack(cluster, plan.before, lock);
    if (clean && !plan.linkIsLost) await forgetMove(cluster, plan.vm);
    throw new CxmError(code, `${said}; ${plan.vm} runs on on ${plan.source}`, {
      ...(hint === undefined ? {} : { hint }),
      cause: failure,
      changed: changedAfter(failure, clean),
    });
  }
  throw undecided(plan, outcome, said, failure);
}
