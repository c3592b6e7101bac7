/**
 * What cxmd_ctl does: one table of its options, from which parsing, help and the manual come. Exactly one of them is an
 * action, the others say how. Pure.
 */
import type { exitCodes } from '../exit-codes.ts';

export interface CtlAction {
  readonly value?: { readonly name: string; readonly optional?: true };
  readonly meaning: string;
  /** Asks first, unless --yes. */
  readonly asks?: true;
}

export const ctlDescription =
  'Asks cxmd of this node how things are, or gives it an order, over its socket UNIX_PORT. Root may do both; members of CXMD_GROUP may ask: --ping, --status, --list-nodes, --why, --watch and --dump.';

/** As help and manual have it. */
export const ctlExitMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: 'done',
  error: 'an error, also when cxmd does not run, or has ended during --watch',
  refused: 'refused, by cxmd or by the answer to a question; or there is no such node',
  usage: 'wrong usage',
};

export const ctlActions = {
  ping: { meaning: 'Prints OK when cxmd of this node answers.' },
  status: {
    meaning:
      'The role of this node, who is master, since when, and the state of the cluster: normal, recovery or panic. Warns when this node is no member.',
  },
  'list-nodes': { meaning: 'All nodes of the cluster: role, whether they are heard and seen on the disk, their VMs.' },
  why: {
    value: { name: 'NODE|VM', optional: true },
    meaning:
      'What was decided about a node or a VM, or about all, and on what evidence. Each node keeps what it has decided itself, over restarts: the master knows most.',
  },
  watch: { meaning: 'What cxmd of this node decides, as it happens, until Ctrl-C.' },
  dump: { meaning: 'Everything that cxmd of this node knows, as JSON, for a bug report.' },
  maintenance: {
    value: { name: 'on|off' },
    meaning: 'This node is emptied by live migrations and then left alone: it is neither fenced nor given VMs.',
  },
  disarm: { meaning: 'No node is fenced, in the whole cluster, until --arm.' },
  arm: { meaning: 'Ends --disarm: nodes are fenced again.' },
  'force-election': { meaning: 'On the master: it gives its role up, and another one is elected.' },
  'force-panic': { meaning: 'Panic: no failover and no joining until --recover.', asks: true },
  recover: { meaning: 'On the master: ends the panic. Look at --why and at the nodes before.', asks: true },
  kill: {
    value: { name: 'NODE' },
    meaning:
      'On the master: takes a node out of the cluster. Its VMs are not started elsewhere, and nobody may start them by hand, unless --off says that it has no power: then a slot of it that can not be read is written anew, too.',
    asks: true,
  },
  quit: { meaning: 'This node leaves the cluster, and cxmd ends. VMs that run here run on.' },
  format: {
    meaning:
      'Makes an empty heartbeat disk of HB_DISK. Names the nodes that use it. To be called once, on one node, while no cxmd runs.',
    asks: true,
  },
} as const satisfies Readonly<Record<string, CtlAction>>;

export type CtlActionName = keyof typeof ctlActions;

interface ModifierSpec {
  readonly short: string | undefined;
  /** The only action that takes it; all of them if left open. */
  readonly of: CtlActionName | undefined;
  readonly meaning: string;
}

export const ctlModifiers = {
  json: { short: undefined, of: undefined, meaning: 'Prints JSON.' },
  yes: { short: 'y', of: undefined, meaning: 'Asks nothing.' },
  force: { short: undefined, of: 'format', meaning: 'With --format: also when the device is not empty.' },
  off: {
    short: undefined,
    of: 'kill',
    meaning: 'With --kill: you vouch that the node has no power. If it has, its VMs run twice.',
  },
  help: { short: 'h', of: undefined, meaning: 'Prints this.' },
  version: { short: undefined, of: undefined, meaning: 'Prints the version.' },
} as const satisfies Readonly<Record<string, ModifierSpec>>;

export type CtlModifier = keyof typeof ctlModifiers;

export const ctlActionNames = Object.keys(ctlActions) as CtlActionName[];

export function actionOf(name: CtlActionName): CtlAction {
  return ctlActions[name];
}

/** What it does, and that it asks. */
export function meaningOfAction(name: CtlActionName): string {
  const { meaning, asks } = actionOf(name);
  return asks === true ? `${meaning} Asks first.` : meaning;
}

/** `--kill NODE` */
export function usageOfAction(name: CtlActionName): string {
  const { value } = actionOf(name);
  if (value === undefined) return `--${name}`;
  return value.optional === true ? `--${name} [${value.name}]` : `--${name} ${value.name}`;
}

export const ctlExamples: readonly { readonly line: string; readonly meaning: string }[] = [
  { line: 'cxmd_ctl --format', meaning: 'once, before the first cxmd is started' },
  { line: 'cxmd_ctl --status', meaning: 'how things are' },
  { line: 'cxmd_ctl --why node2', meaning: 'why was it fenced, or not?' },
  { line: 'cxmd_ctl --why shop.example.org', meaning: 'why was it started there, or not?' },
  { line: 'cxmd_ctl --maintenance on', meaning: 'before this node is repaired' },
];
