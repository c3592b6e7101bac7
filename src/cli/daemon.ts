/**
 * cxmd of this node, where one runs: what it knows of the cluster counts more than cxm.conf. Guarantees: a daemon that does
 * not run, does not answer or is not for this user is as good as none, and keeps nobody waiting.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CxmConf } from '../config/cxm-conf.ts';
import { asCxmError, CxmError } from '../errors.ts';
import { connectLocally } from '../ha/calls/local-calls.ts';
import type { Reply } from '../ha/daemon/shell.ts';
import type { NodeReport, StatusReport } from '../ha/daemon/view.ts';
import type { Call } from '../ha/protocol/messages.ts';
import type { Commands } from '../host/commands.ts';
import type { Membership, OpenRequest } from './environment.ts';

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

/** So long a node that cxmd calls off may take to say that it is not. */
const powerlessMs = 5000;

/**
 * Nodes to work with, where the call names none: all but those that are off for certain, which can run nothing. Who has
 * merely left, or is silent, may run VMs, and is asked. Power may come back without cxmd, so before something is changed
 * those that are called off are listened for.
 */
export async function nodesToOpen(
  { nodes, changes }: Pick<OpenRequest, 'nodes' | 'changes'>,
  daemon: DaemonLink | undefined,
  allowed: readonly string[],
  machineOf: (node: string) => Commands,
): Promise<readonly string[]> {
  if (nodes !== undefined) return nodes;
  const off = new Set(daemon?.nodes.filter(({ role }) => role === 'off').map(({ name }) => name));
  const counts = await Promise.all(allowed.map((name) => !off.has(name) || (changes && stirs(machineOf(name)))));
  return allowed.filter((_, at) => counts[at]);
}

/** Whether a machine says anything at all, were it that it lets nobody in. */
async function stirs(machine: Commands): Promise<boolean> {
  const silence = sleep(powerlessMs, false, { ref: false });
  const word = machine.run('true', [], { timeoutMs: powerlessMs }).then(
    () => true,
    (error: unknown) => {
      const { code, cause } = asCxmError(error);
      const isRefused = cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED';
      return code !== 'HOST_UNREACHABLE' || isRefused;
    },
  );
  return Promise.race([word, silence]);
}
