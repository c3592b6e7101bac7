/**
 * What the balancer is told: nodes, VMs and where they are, rules about VMs and nodes, limits. Plain data.
 *
 * `checkState` and `checkRules` are the door: they refuse what can't be true (a VM twice, a VM on a node that doesn't
 * exist, rules that exclude each other) and name the culprit. Everything behind them trusts its input. Order of nodes,
 * VMs and rules never matters to any result of this directory.
 */
import { CxmError } from '../errors.ts';

export interface BalanceNode {
  readonly name: string;
  /** RAM that VMs can have in all: the free RAM plus what VMs there have now. MiB, whole. */
  readonly memoryMib: number;
  readonly cpus: number;
  /** Up and reachable. VMs of a node that isn't are not seen and not moved; it gets none and has no part in the score. */
  readonly ready: boolean;
  /** May get VMs. A node that may not (maintenance) can still lose some. */
  readonly accepting: boolean;
}

export interface BalanceVm {
  readonly name: string;
  /** Where it runs; undefined for a VM that doesn't run yet and is to be placed. */
  readonly node: string | undefined;
  /** MiB, whole. */
  readonly memoryMib: number;
  /** 100 is one full CPU. Thousandths count, no less. */
  readonly cpuPercent: number;
}

export interface ClusterState {
  readonly nodes: readonly BalanceNode[];
  readonly vms: readonly BalanceVm[];
}

/** VMs and nodes by their names. Each part may be left out. */
export interface BalanceRules {
  /** VMs that may be only on these nodes. One that is elsewhere stays there or comes home. */
  readonly pinned?: readonly Pin[];
  /** VMs that are never moved; they count. */
  readonly ignored?: readonly string[];
  /** Groups of VMs that belong on one node. A group that is on one node moves as a whole, one VM after another. */
  readonly together?: readonly (readonly string[])[];
  /** Groups of VMs of which no node may have two. No step of a plan puts a second one on a node. */
  readonly apart?: readonly (readonly string[])[];
  /** Nodes that shall have no VM. */
  readonly empty?: readonly string[];
}

export interface Pin {
  readonly vm: string;
  readonly nodes: readonly string[];
}

/** LB_MAX_VM_PER_NODE, LB_MAX_MIGRATION and LB_MIN_GAIN of cxm.conf. */
export interface BalanceLimits {
  readonly maxVmsPerNode: number;
  readonly maxMigrations: number;
  readonly minGainPercent: number;
}

export const defaultLimits: BalanceLimits = { maxVmsPerNode: 20, maxMigrations: 3, minGainPercent: 5 };

/** Plans of more migrations are for nobody to carry out, and the search's time grows with the square. */
export const maxMigrationsAllowed = 1000;

/** @throws CxmError INVALID_INPUT naming the limit */
export function checkLimits({ maxVmsPerNode, maxMigrations, minGainPercent }: BalanceLimits): void {
  requireNumber(maxVmsPerNode, 'maxVmsPerNode', maxVms, true);
  requireNumber(maxMigrations, 'maxMigrations', maxMigrationsAllowed, true);
  requireNumber(minGainPercent, 'minGainPercent', 100, false);
}

export const maxNodes = 1024;
export const maxVms = 100_000;
/** 64 TiB. */
export const maxMemoryMib = 64 * 1024 * 1024;
export const maxCpuPercent = 1_000_000;

export const nameRule = 'up to 255 letters, digits and . _ + : @ - with a letter or digit at the beginning';
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._+:@-]{0,254}$/;

export function isName(text: string): boolean {
  return namePattern.test(text);
}

/** How a name from outside is shown in a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

export function invalid(message: string, hint?: string): CxmError {
  return new CxmError('INVALID_INPUT', message, hint === undefined ? {} : { hint });
}

function requireNumber(value: number, what: string, max: number, whole: boolean): void {
  const good = Number.isFinite(value) && value >= 0 && value <= max && (!whole || Number.isInteger(value));
  if (!good) throw invalid(`${what} is ${value}, but must be a ${whole ? 'whole number' : 'number'} from 0 to ${max}`);
}

function requireName(name: string, what: string): void {
  if (!isName(name)) throw invalid(`${what} ${quote(name)} is no name: ${nameRule}`);
}

/** @throws CxmError INVALID_INPUT naming the first node or VM that can't be, and the field */
export function checkState({ nodes, vms }: ClusterState): void {
  if (nodes.length > maxNodes) throw invalid(`there are ${nodes.length} nodes, and at most ${maxNodes} are allowed`);
  if (vms.length > maxVms) throw invalid(`there are ${vms.length} VMs, and at most ${maxVms} are allowed`);
  const known = new Set<string>();
  for (const { name, memoryMib, cpus } of nodes) {
    requireName(name, 'node');
    if (known.has(name)) throw invalid(`node ${name} is listed twice`);
    known.add(name);
    requireNumber(memoryMib, `memory of node ${name}`, maxMemoryMib, true);
    requireNumber(cpus, `cpus of node ${name}`, 65_536, true);
  }
  const places = new Map<string, string | undefined>();
  for (const { name, node, memoryMib, cpuPercent } of vms) {
    requireName(name, 'VM');
    if (places.has(name)) throw twice(name, places.get(name), node);
    places.set(name, node);
    if (node !== undefined && !known.has(node))
      throw invalid(`VM ${name} is on node ${quote(node)}, which isn't listed`);
    requireNumber(memoryMib, `memory of VM ${name}`, maxMemoryMib, true);
    requireNumber(cpuPercent, `cpu of VM ${name}`, maxCpuPercent, false);
  }
}

function twice(name: string, one: string | undefined, other: string | undefined): CxmError {
  if (one === undefined || other === undefined || one === other) return invalid(`VM ${name} is listed twice`);
  return invalid(
    `VM ${name} is on two nodes: ${one} and ${other}`,
    'stop one of them if it really runs twice (`cxm check` tells), or wait for the end of its migration',
  );
}

/**
 * Rules outlive VMs, so one that names a VM that isn't there says nothing about the others; such names are returned, in
 * order, for a warning.
 * @throws CxmError INVALID_INPUT naming the rule and the name in it that is unknown, doubled or contradicts another rule
 */
export function checkRules(rules: BalanceRules, state: ClusterState): readonly string[] {
  const vms = new Set(state.vms.map(({ name }) => name));
  const nodes = new Set(state.nodes.map(({ name }) => name));
  const { pinned = [], ignored = [], together = [], apart = [], empty = [] } = rules;
  requireNodes(nodes, 'empty', empty);
  requireOnce('ignore', 'VM', ignored);
  requireOnce(
    'pin',
    'VM',
    pinned.map(({ vm }) => vm),
  );
  for (const { vm, nodes: allowed } of pinned) {
    if (allowed.length === 0) throw invalid(`rule pin: VM ${quote(vm)} has no node to be on`);
    requireNodes(nodes, 'pin', allowed);
  }
  requireOnce('together', 'VM', together.flat());
  for (const group of apart) {
    requireOnce('apart', 'VM', group);
    for (const friends of together) {
      const [one, other] = friends.filter((name) => group.includes(name));
      if (one !== undefined && other !== undefined)
        throw invalid(`VMs ${one} and ${other} are to be together and apart`);
    }
  }
  const named = [...ignored, ...pinned.map(({ vm }) => vm), ...together.flat(), ...apart.flat()];
  return [...new Set(named.filter((name) => !vms.has(name)))].sort(compareNames);
}

function requireNodes(known: ReadonlySet<string>, rule: string, names: readonly string[]): void {
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw invalid(`rule ${rule}: there is no node ${quote(unknown)}`);
  requireOnce(rule, 'node', names);
}

function requireOnce(rule: string, kind: string, names: readonly string[]): void {
  const seen = new Set<string>();
  const doubled = names.find((name) => seen.size === seen.add(name).size);
  if (doubled !== undefined) throw invalid(`rule ${rule}: ${kind} ${quote(doubled)} is named twice`);
}

/** The order of names everywhere here: that of their characters' codes, whatever the language of the user. */
export function compareNames(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
