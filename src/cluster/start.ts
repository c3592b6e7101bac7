/**
 * Starting a VM. The exclusive activation rule: before it starts on a node its volumes are inactive on every other one, and
 * if it is anywhere, in any state, the start is refused. A start that fails leaves nothing behind, or says what.
 */
import type { BalanceRules } from '../balance/state.ts';
import { asCxmError, CxmError } from '../errors.ts';
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import type { ActivationMode } from '../lvm/volumes.ts';
import { runsHere, rowsOf } from '../xen/domain-list.ts';
import { outwaitRestart, requireAlone, requireNowhere, requireUnused } from './alone.ts';
import { carryOut, takeBack, tidyUp, type PlainStep } from './carry-out.ts';
import { changedAfter, hasEnded } from './certainty.ts';
import { nodeNamed, requireAll, type Cluster } from './cluster.ts';
import type { VmDefinition } from './definition.ts';
import { requireDefinition, wordsOf } from './locate.ts';
import type { ClusterNode } from './node.ts';
import type { Step } from './steps.ts';
import { answersOf, surveyNodes, volumeIdentity, volumeIn, type NodeSight, type Survey } from './survey.ts';
import { describeStep } from './steps.ts';
import { withVmLock, type VmLock } from './vm-lock.ts';

export interface StartOptions {
  /** The node to start on, and no other; else the one with the autostart link, else the local one. */
  readonly node?: string;
  /** Where cxm was called, if that is a node. */
  readonly localNode?: string;
  /** Set the autostart link where it starts; else a link is only moved. */
  readonly setLink?: boolean;
  /** Where it may be when neither an option nor a link says it; anywhere when left out. */
  readonly rules?: Pick<BalanceRules, 'pinned' | 'empty'>;
}

export interface StartPlan {
  readonly vm: string;
  readonly node: string;
  readonly definition: VmDefinition;
  /** Why that node, and what else the administrator should know. */
  readonly remarks: readonly string[];
  readonly before: readonly PlainStep[];
  readonly create: Extract<Step, { kind: 'create' }>;
  readonly after: readonly PlainStep[];
}

/** The plan as a dry run shows it. @throws CxmError REFUSED, NOT_FOUND, CONFIG, HOST_UNREACHABLE */
export async function planStart(cluster: Cluster, vm: string, options: StartOptions): Promise<StartPlan> {
  const survey = await surveyNodes(cluster);
  requireAll(answersOf(survey));
  requireNowhere(survey.sights, vm);
  const wish = chooseNode(survey, vm, options);
  const wished = await requireDefinition(nodeNamed(cluster, wish.node), vm);
  const choice = withRoom(survey, wished, wish, options.rules);
  // What it is started from counts: another node may have another configuration, with other disks.
  const definition = choice.node === wish.node ? wished : await requireDefinition(nodeNamed(cluster, choice.node), vm);
  const own = requireVolumes(survey.sights, definition, choice.node);
  await outwaitRestart(cluster, survey.sights, definition, choice.node);
  await requireUnused(cluster, survey.sights, definition, own);
  return stepsOfStart(survey, definition, choice, own, options.setLink === true);
}

/** @returns the node on which it runs. @throws CxmError as planStart, and of the toolstack */
export function startVm(cluster: Cluster, vm: string, options: StartOptions = {}): Promise<string> {
  return withVmLock(cluster, vm, async (lock) => {
    const plan = await planStart(cluster, vm, options);
    for (const remark of plan.remarks) cluster.reporter.note('WARN', remark);
    await carryOut(cluster, plan.before, lock);
    await create(cluster, plan, lock);
    await tidyUp(cluster, plan.after, lock);
    return plan.node;
  });
}

interface Choice {
  readonly node: string;
  /** May another node be taken that has room? */
  readonly fixed: boolean;
  readonly remarks: readonly string[];
}

/** @throws CxmError REFUSED for more than one autostart link */
export function chooseNode({ sights }: Survey, vm: string, { node, localNode, rules }: StartOptions): Choice {
  if (node !== undefined) {
    if (sights.some((sight) => sight.node === node)) return { node, fixed: true, remarks: [] };
    throw new CxmError('NOT_FOUND', `${node} is no node of the cluster`);
  }
  const linked = sights.filter(({ links }) => links.has(vm)).map((sight) => sight.node);
  if (linked.length > 1) {
    throw new CxmError('REFUSED', `${vm} has an autostart link on ${linked.join(' and ')}`, {
      hint: 'say which node is meant with --force-node, and remove the other link',
    });
  }
  if (linked[0] !== undefined) return { node: linked[0], fixed: false, remarks: [] };
  const allowed = roomiestFirst(sights, vm, rules);
  const local = sights.find((sight) => sight.node === localNode) ?? sights[0];
  if (local === undefined) throw new CxmError('REFUSED', 'the cluster has no nodes');
  const own = allowed.includes(local) ? local : (allowed[0] ?? local);
  return { node: own.node, fixed: false, remarks: [`${vm} has no autostart link: it is started on ${own.node}`] };
}

/** Where LB_PIN and LB_EMPTY let a VM be. */
function roomiestFirst(sights: readonly NodeSight[], vm: string, rules: StartOptions['rules'] = {}): NodeSight[] {
  const pin = rules.pinned?.find((pinned) => pinned.vm === vm)?.nodes;
  return sights
    .filter(({ node }) => pin?.includes(node) !== false && rules.empty?.includes(node) !== true)
    .sort((one, other) => other.info.freeMemoryMib - one.info.freeMemoryMib);
}

/**
 * The node, or instead the one with most free memory among those on which the rules let it be.
 * @throws CxmError REFUSED when the VM fits nowhere
 */
export function withRoom(
  { sights }: Survey,
  { vm, memoryMib }: Pick<VmDefinition, 'vm' | 'memoryMib'>,
  choice: Choice,
  rules: StartOptions['rules'],
): Choice {
  const free = (name: string): number => sights.find(({ node }) => node === name)?.info.freeMemoryMib ?? 0;
  if (memoryMib <= free(choice.node)) return choice;
  const need = `${vm} needs ${memoryMib} MiB`;
  if (choice.fixed) {
    throw new CxmError('REFUSED', `${need}, but ${choice.node} has only ${free(choice.node)} MiB free`);
  }
  const allowed = roomiestFirst(sights, vm, rules);
  const [roomiest] = allowed;
  if (roomiest === undefined || memoryMib > roomiest.info.freeMemoryMib) {
    const nodes = allowed.length === sights.length ? 'no node' : 'no node on which LB_PIN and LB_EMPTY let it be';
    const most = Math.max(free(choice.node), roomiest?.info.freeMemoryMib ?? 0);
    throw new CxmError('REFUSED', `not enough RAM: ${need}, and ${nodes} has more than ${most} MiB free`);
  }
  const remark = `${choice.node} has only ${free(choice.node)} MiB free: ${vm} is started on ${roomiest.node}`;
  return { node: roomiest.node, fixed: false, remarks: [...choice.remarks, remark] };
}

function stepsOfStart(
  survey: Survey,
  definition: VmDefinition,
  choice: Choice,
  own: NodeSight,
  setLink: boolean,
): StartPlan {
  const { vm, configPath } = definition;
  const { node } = choice;
  const linked = survey.sights.filter(({ links }) => links.has(vm)).map((sight) => sight.node);
  const strays = linked.filter((name) => name !== node);
  // The new one first: a cxm that is killed in between leaves one too many, which is found, and not none.
  const link: PlainStep[] = setLink || strays.length > 0 ? [{ kind: 'link', node, vm, configPath }] : [];
  const unlink: PlainStep[] = strays.map((name) => ({ kind: 'unlink', node: name, vm, configPath }));
  return {
    vm,
    node,
    definition,
    remarks: [...choice.remarks, ...unguarded(definition)],
    before: activateExclusively(survey.sights, definition, own),
    create: { kind: 'create', node, vm, configPath },
    after: [...link, ...unlink],
  };
}

/** What the cluster can't keep from being used twice. */
function unguarded({ vm, otherDisks }: VmDefinition): string[] {
  if (otherDisks.length === 0) return [];
  return [`${otherDisks.join(', ')} of ${vm} is no logical volume: cxm can't keep another node from using it`];
}

/** The node's sight, which has all the VM's volumes. @throws CxmError NOT_FOUND naming those that are missing */
export function requireVolumes(sights: readonly NodeSight[], definition: VmDefinition, node: string): NodeSight {
  const { vm, volumes, readOnlyVolumes } = definition;
  const sight = sights.find((candidate) => candidate.node === node);
  if (sight === undefined) throw new CxmError('NOT_FOUND', `${node} is no node of the cluster`);
  const missing = [...volumes, ...readOnlyVolumes]
    .filter((volume) => volumeIn(sight, volume) === undefined)
    .map(formatVolumeName);
  if (missing.length === 0) return sight;
  throw new CxmError('NOT_FOUND', `${node} has no logical volume ${missing.join(', ')}, which ${vm} needs`, {
    hint: `check the configuration of ${vm}, and \`lvs\` on ${node}`,
  });
}

/**
 * Inactive everywhere else, then active here. A volume of the same name in another group is another volume; one that is only
 * read may be active anywhere.
 */
export function activateExclusively(
  sights: readonly NodeSight[],
  { volumes, readOnlyVolumes }: Pick<VmDefinition, 'volumes' | 'readOnlyVolumes'>,
  own: NodeSight,
): PlainStep[] {
  const elsewhere = sights.filter(({ node }) => node !== own.node);
  const away: PlainStep[] = elsewhere.flatMap((sight) =>
    volumes
      .filter((volume) => volumeIdentity(sight, volume) === volumeIdentity(own, volume))
      .filter((volume) => volumeIn(sight, volume)?.active === true)
      .map((volume) => ({ kind: 'deactivate' as const, node: sight.node, volume, wasActive: true })),
  );
  const here = (mode: ActivationMode) => (volume: VolumeName) =>
    ({
      kind: 'activate',
      node: own.node,
      volume,
      mode,
      wasActive: volumeIn(own, volume)?.active === true,
    }) as const;
  return [
    ...away,
    ...volumes.map(here('exclusive')),
    ...readOnlyVolumes.map(here('shared')).map((step) => ({ ...step, unlessRead: true as const })),
  ];
}

async function create(cluster: Cluster, plan: StartPlan, lock: VmLock): Promise<void> {
  const node = nodeNamed(cluster, plan.node);
  try {
    await requireAlone(cluster, plan.definition, plan.node);
    lock.check();
  } catch (error) {
    throw await takenBack(cluster, plan, error, lock);
  }
  try {
    cluster.reporter.step(describeStep(plan.create));
    await node.under(plan.vm).toolstack.create(plan.create.configPath);
  } catch (error) {
    await createFailed(cluster, node, plan, { error, lock });
  }
}

async function takenBack(cluster: Cluster, plan: StartPlan, error: unknown, lock: VmLock): Promise<CxmError> {
  const clean = await takeBack(cluster, plan.before, lock);
  const { code, message, hint } = asCxmError(error);
  return new CxmError(code, message, { hint, cause: error, changed: changedAfter(error, clean) });
}

interface FailedCreate {
  readonly error: unknown;
  readonly lock: VmLock;
}

/**
 * xl's word for a failure is not enough: a connection that broke says nothing about the domain, and as long as xl may be at
 * work its volumes stay active.
 */
async function createFailed(
  cluster: Cluster,
  node: ClusterNode,
  plan: StartPlan,
  { error, lock }: FailedCreate,
): Promise<void> {
  const failure = asCxmError(error);
  const rows = await node.toolstack.list().then(
    (all) => rowsOf(all, plan.vm),
    () => undefined,
  );
  if (rows?.some(runsHere) === true) {
    cluster.reporter.note('WARN', `${plan.vm} runs on ${node.name}, although its start failed: ${failure.message}`);
    return;
  }
  if (rows !== undefined && rows.length === 0 && hasEnded(error)) throw await takenBack(cluster, plan, error, lock);
  const state = rows === undefined ? 'does not say whether it is there' : presence(rows.map(wordsOf));
  throw new CxmError(failure.code, `${failure.message}; ${node.name} ${state}`, {
    hint: `look with \`xl list\` on ${node.name} before it is started anywhere`,
    cause: error,
    changed: 'maybe',
  });
}

function presence(states: readonly string[]): string {
  return states.length === 0 ? 'has no domain of it yet, but xl may be at work' : `has it: ${states.join(', ')}`;
}
