/**
 * Live migration: the VM runs at the destination afterwards and nowhere else, or it runs on at the source. What xl says is
 * never enough: both nodes are looked at before anything is switched off. When it can't be seen where the VM is, nothing is
 * switched off at all, and the error says so. While it moves no node has an autostart link of it, since one that a crash
 * left behind would start the VM a second time.
 */
import { asCxmError, CxmError } from '../errors.ts';
import type { VolumeName } from '../lvm/device-path.ts';
import { meaningOf, rowsOf, runsHere, type DomainRow } from '../xen/domain-list.ts';
import { carryOut, takeBack, tidyUp, type PlainStep } from './carry-out.ts';
import { changedAfter, hasEnded } from './certainty.ts';
import { nodeNamed, requireAll, type Cluster } from './cluster.ts';
import { sortedDisks } from './definition.ts';
import { runsOnSeveral } from './locate.ts';
import { neverIgnored, obstaclesTo, type MigrationFacts, type Obstacle } from './migrate-checks.ts';
import { checkedName, fingerprint } from './node-files.ts';
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
  readonly vm: string;
  readonly source: string;
  readonly destination: string;
  readonly domainId: number;
  readonly memoryMib: number;
  readonly obstacles: readonly Obstacle[];
  readonly before: readonly PlainStep[];
  readonly migrate: Extract<Step, { kind: 'migrate' }>;
  readonly after: readonly PlainStep[];
}

export type MigrateResult = { readonly source: string; readonly alreadyThere: boolean };

/** The source's domain leaves the list a moment after the destination's runs. */
const settleMs = 20_000;
/** A destination without power sends nothing at all. */
const connectionLostMs = 15_000;

/**
 * The plan as a dry run shows it; 'there' when the VM runs at the destination already.
 * @throws CxmError REFUSED with every obstacle, NOT_FOUND, HOST_UNREACHABLE
 */
export async function planMigration(cluster: Cluster, request: MigrateRequest): Promise<MigratePlan | 'there'> {
  const { vm, destination } = request;
  nodeNamed(cluster, destination);
  const survey = await surveyNodes(cluster);
  requireAll(answersOf(survey));
  const found = requireOne(survey.sights, checkedName(vm));
  if (found.node === destination) return 'there';
  await cluster.requireUsable?.(destination);
  const facts = await gatherFacts(cluster, survey.sights, { vm, destination, found });
  const obstacles = await allObstacles(cluster, facts);
  requireNoObstacle(request, facts.source.node, obstacles);
  return planOf(survey.sights, facts, obstacles);
}

/** @throws CxmError as planMigration, and of the toolstack; `changed` says what became of the VM */
export function migrateVm(cluster: Cluster, request: MigrateRequest): Promise<MigrateResult> {
  return withVmLock(cluster, checkedName(request.vm), async (lock) => {
    const plan = await planMigration(cluster, request);
    if (plan === 'there') return { source: request.destination, alreadyThere: true };
    for (const { text } of plan.obstacles) cluster.reporter.note('WARN', text);
    await carryOut(cluster, plan.before, lock);
    const failure = await move(cluster, plan, lock);
    await conclude(cluster, plan, failure, lock);
    return { source: plan.source, alreadyThere: false };
  });
}

function requireOne(sights: readonly NodeSight[], vm: string): { readonly node: string; readonly row: DomainRow } {
  const { running, traces } = whereabouts(sights, vm);
  if (running.length > 1) throw runsOnSeveral(vm, running);
  const [found] = running;
  const [trace] = traces;
  if (found === undefined) throw new CxmError('NOT_FOUND', `${vm} runs on no node`);
  if (trace === undefined) return found;
  throw new CxmError(
    'REFUSED',
    `${vm} runs on ${found.node}, but ${trace.node} has domain ${trace.row.id} of it, too`,
    {
      hint: 'another migration is under way, or one was cut off: look with `xl list`, and destroy what it has left',
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

function planOf(sights: readonly NodeSight[], facts: MigrationFacts, obstacles: readonly Obstacle[]): MigratePlan {
  const { vm, row, source, destination, volumes, readOnlyVolumes } = facts;
  const configPath = facts.configPath;
  const linked = sights.filter(({ links }) => links.has(vm));
  const onlyThere = linked.length === 1 && linked[0]?.node === destination.node;
  const links = onlyThere || configPath === undefined ? [] : linked;
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
    ...(links.length > 0 && configPath !== undefined
      ? [{ kind: 'link' as const, node: destination.node, vm, configPath }]
      : []),
    { kind: 'hook', vm, source: source.node, destination: destination.node },
  ];
  return {
    vm,
    source: source.node,
    destination: destination.node,
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
  return volumes
    .filter(locked)
    .map((volume) => ({ kind: 'activate', node: source.node, volume, mode: 'shared', wasActive: true }));
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
    await removeLeft(cluster, plan);
    return tidyUp(cluster, plan.after, lock);
  }
  const said = failure === undefined ? 'xl reported success' : failure.message;
  const code = failure?.code ?? 'XEN';
  const hint = failure?.hint;
  if (outcome === 'stayed') {
    const clean = await takeBack(cluster, plan.before, lock);
    throw new CxmError(code, `${said}; ${plan.vm} runs on on ${plan.source}`, {
      ...(hint === undefined ? {} : { hint }),
      cause: failure,
      changed: changedAfter(failure, clean),
    });
  }
  throw undecided(plan, outcome, said, failure);
}

function undecided(
  plan: MigratePlan,
  outcome: Exclude<Outcome, 'moved' | 'stayed'>,
  said: string,
  cause: unknown,
): CxmError {
  const { vm, source, destination } = plan;
  const changed = 'maybe';
  switch (outcome) {
    case 'both':
      return new CxmError('XEN', `${vm} seems to run on ${source} and on ${destination}: ${said}`, {
        hint: 'look at both nodes with `xl list` at once and destroy the older domain: two domains ruin the disks',
        cause,
        changed,
      });
    case 'nowhere':
      return new CxmError('XEN', `${vm} runs neither on ${source} nor on ${destination}: ${said}`, {
        hint: `look at both nodes with \`xl list\`; when it is on neither, start it with \`cxm create ${vm}\``,
        cause,
        changed,
      });
    case 'unknown':
      return new CxmError('XEN', `it can't be seen whether ${vm} runs on ${source} or ${destination}: ${said}`, {
        hint: 'nothing was switched off, so its disks may be active on both nodes: look at both before doing anything',
        cause,
        changed,
      });
  }
}

type Outcome = 'moved' | 'stayed' | 'both' | 'nowhere' | 'unknown';

/**
 * Where the VM runs, by what both nodes say, which is asked again as long as things are still moving. An xl that may be at
 * work yet can still move what seems to have stayed; what it has handed over does not come back.
 */
async function outcomeOf(cluster: Cluster, plan: MigratePlan, ended: boolean): Promise<Outcome> {
  const giveUp = cluster.clock.now() + settleMs;
  for (;;) {
    const [here, there] = await Promise.all([
      rowsOn(cluster, plan.source, plan.vm),
      rowsOn(cluster, plan.destination, plan.vm),
    ]);
    const outcome = judge(here, there);
    if (outcome === 'moved' || (outcome === 'stayed' && ended)) return outcome;
    if (cluster.clock.now() >= giveUp) return outcome === 'pending' || outcome === 'stayed' ? 'unknown' : outcome;
    await cluster.clock.sleep(500);
  }
}

/**
 * What the rows of both nodes mean together. A source that does not answer decides nothing: it may have resumed its
 * domain. A destination that does not answer leaves the word to a source whose guest runs: xl suspends it for good before
 * the other one may run, so it never was let run there. Pure.
 */
export function judge(
  here: readonly DomainRow[] | undefined,
  there: readonly DomainRow[] | undefined,
): Outcome | 'pending' {
  if (here === undefined) return 'unknown';
  if (there === undefined) return here.length > 0 && here.every(runsHere) ? 'stayed' : 'unknown';
  const [runsOnSource, runsOnDestination] = [here.some(runsHere), there.some(runsHere)];
  if (runsOnSource && runsOnDestination) return 'both';
  // A suspended or renamed domain at the source beside a running one at the destination is only its shell.
  if (runsOnDestination) return here.every(isShell) ? 'moved' : 'pending';
  if (runsOnSource) return there.length === 0 ? 'stayed' : 'pending';
  return here.length === 0 && there.length === 0 ? 'nowhere' : 'pending';
}

function isShell(row: DomainRow): boolean {
  const meaning = meaningOf(row);
  return meaning === 'leaving' || meaning === 'dying';
}

async function rowsOn(cluster: Cluster, node: string, vm: string): Promise<readonly DomainRow[] | undefined> {
  try {
    return rowsOf(await nodeNamed(cluster, node).toolstack.list(), vm);
  } catch {
    return undefined;
  }
}

/** What a lost connection has left of the source's domain: it holds the disks, and its guest runs elsewhere. */
async function removeLeft(cluster: Cluster, plan: MigratePlan): Promise<void> {
  const { toolstack } = nodeNamed(cluster, plan.source).under(plan.vm);
  for (const row of (await rowsOn(cluster, plan.source, plan.vm)) ?? []) {
    if (meaningOf(row) !== 'leaving') continue;
    await toolstack.destroy(row.id).catch((error: unknown) => {
      cluster.reporter.note(
        'WARN',
        `domain ${row.id} of ${plan.vm} stays on ${plan.source}: ${asCxmError(error).message}`,
      );
    });
  }
}
