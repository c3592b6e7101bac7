/**
 * cxmd of this node, where one runs: what it knows of the cluster counts more than cxm.conf. Guarantees: a daemon that does
 * not run, does not answer or is not for this user is as good as none, and keeps nobody waiting.
 */
import type { CxmConf } from '../config/cxm-conf.ts';
import { asCxmError, CxmError } from '../errors.ts';
import { connectLocally } from '../ha/calls/local-calls.ts';
import type { Reply } from '../ha/daemon/shell.ts';
import type { NodeReport, StatusReport } from '../ha/daemon/view.ts';
import type { Call } from '../ha/protocol/messages.ts';
import type { Commands } from '../host/commands.ts';
import type { Membership, OpenRequest } from './environment.ts';
import { requireStanding } from './standing.ts';

export interface DaemonLink {
  readonly status: StatusReport;
  readonly nodes: readonly NodeReport[];
  /** @throws CxmError HOST_UNREACHABLE, ACCESS_DENIED */
  call(call: Call): Promise<Reply>;
}

const answerMs = 3000;

/** Asked once a run of cxm. */
export function daemonOf(configuration: () => CxmConf): () => Promise<DaemonLink | undefined> {
  let link: Promise<DaemonLink | undefined> | undefined;
  return () => (link ??= reach(configuration()));
}

async function reach({ UNIX_PORT: path }: CxmConf): Promise<DaemonLink | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), answerMs)));
  try {
    return await Promise.race([ask(path), late]);
  } catch (error) {
    if (error instanceof CxmError) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function ask(path: string): Promise<DaemonLink> {
  const connection = await connectLocally(path);
  try {
    const [status, nodes] = await Promise.all([connection.ask('status', {}), connection.ask('nodes', {})]);
    return {
      status: status as StatusReport,
      nodes: nodes as readonly NodeReport[],
      async call(call) {
        const own = await connectLocally(path);
        try {
          return (await own.ask('call', { call })) as Reply;
        } finally {
          own.close();
        }
      },
    };
  } finally {
    connection.close();
  }
}

/** What cxmd says, or what follows from the configuration alone. Pure. */
export function membershipFrom(
  daemon: DaemonLink | undefined,
  nodes: readonly string[],
  localName: string,
): Membership {
  if (daemon === undefined) return { isMember: nodes.includes(localName), state: 'normal', source: 'cxm.conf' };
  const { isMember, state } = daemon.status;
  return { isMember, state, source: 'cxmd' };
}

export interface Turnout {
  readonly nodes: readonly string[];
  /** @throws CxmError REFUSED naming a node that was left out and answers now; those of requireStanding */
  requireUsable(node: string): Promise<void>;
}

export interface TurnoutFacts {
  readonly daemon: DaemonLink | undefined;
  readonly conf: Pick<CxmConf, 'ALLOWED_NODES' | 'HB_DISK'>;
  readonly machineOf: (node: string) => Commands;
  /** Of this node. */
  readonly commands: Commands;
}

/**
 * Nodes to work with, where the call names none: all but those that are off for certain, which can run nothing. Who has
 * merely left, or is silent, may run VMs, and is asked. Power may come back without cxmd, so before something is changed
 * those that are called off are listened for, and again before each VM that is made.
 */
export async function turnout(
  { nodes, changes }: Pick<OpenRequest, 'nodes' | 'changes'>,
  facts: TurnoutFacts,
): Promise<Turnout> {
  const { daemon, conf, machineOf } = facts;
  if (nodes !== undefined) return { nodes, requireUsable: (node) => requireStanding(node, facts) };
  const off = daemon?.nodes.filter(({ role }) => role === 'off').map(({ name }) => name) ?? [];
  const stirring = async (): Promise<readonly string[]> => {
    const words = await Promise.all(off.map((name) => stirs(machineOf(name))));
    return off.filter((_, at) => words[at]);
  };
  const awake = changes ? await stirring() : [];
  const left = new Set(off.filter((name) => !awake.includes(name)));
  let listenedMs = performance.now();
  return {
    nodes: conf.ALLOWED_NODES.filter((name) => !left.has(name)),
    async requireUsable(node) {
      await requireStanding(node, facts);
      if (left.size === 0 || performance.now() - listenedMs < bootMs) return;
      const back = (await stirring()).find((name) => left.has(name));
      if (back !== undefined) throw hasComeBack(back);
      listenedMs = performance.now();
    },
  };
}

/** No machine comes up and has a VM running sooner than this after it was silent. */
const bootMs = 10_000;

function hasComeBack(node: string): CxmError {
  const hint = 'call it again: then that node is asked, too, what runs there';
  return new CxmError('REFUSED', `${node} was off when this began, and answers now`, { hint });
}

/** What only a machine without power, or without a way to it, leaves behind. */
const silence = new Set(['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ETIMEDOUT']);

/** Whether a machine says anything at all, were it that it lets nobody in. */
async function stirs(machine: Commands): Promise<boolean> {
  try {
    await machine.run('true', []);
    return true;
  } catch (error) {
    const { cause } = asCxmError(error);
    return !(cause instanceof Error && 'code' in cause && silence.has(String(cause.code)));
  }
}
