/**
 * The cluster as its operations see it: the nodes, what is configured, and who is told of progress. Operations on many
 * nodes ask them all at the same time; a node that doesn't answer is an error of that node, not of the whole answer. An
 * operation that changes something refuses to work beside a silent node, since nobody knows what runs there.
 */
import { asCxmError, CxmError } from '../errors.ts';
import type { Clock } from '../host/clock.ts';
import type { ClusterNode } from './node.ts';

export interface ClusterSettings {
  /** After it, a VM that ignores a shutdown is destroyed. */
  readonly shutdownTimeoutMs: number;
  /** A migration that takes longer is broken off, and the VM stays. */
  readonly migrateTimeoutMs: number;
  /** How long a volume may still be in use after its VM has gone. */
  readonly busyTimeoutMs: number;
  /** How long another cxm may hold a VM. */
  readonly lockTimeoutMs: number;
  /** Absolute path; run after each migration, on the source. */
  readonly postMigrationHook: string | undefined;
}

export interface Reporter {
  /** What is done now, for a line of progress. */
  step(text: string): void;
  note(severity: 'INFO' | 'WARN', text: string): void;
}

export interface Cluster {
  /** In the order of ALLOWED_NODES. */
  readonly nodes: readonly ClusterNode[];
  readonly settings: ClusterSettings;
  readonly reporter: Reporter;
  readonly clock: Clock;
  /** Aborted when whoever asked has gone: nothing new is begun then. */
  readonly signal: AbortSignal;
  /**
   * Before a VM is made on a node or brought there: those that were left out because they are off still are, and this one is
   * not taken for off by others. @throws CxmError REFUSED
   */
  readonly requireUsable?: (node: string) => Promise<void>;
}

/** @throws CxmError NOT_FOUND naming the nodes there are */
export function nodeNamed(cluster: Cluster, name: string): ClusterNode {
  const node = cluster.nodes.find((candidate) => candidate.name === name);
  if (node !== undefined) return node;
  const names = cluster.nodes.map((candidate) => candidate.name).join(', ');
  throw new CxmError('NOT_FOUND', `${name} is no node of the cluster`, { hint: `its nodes are ${names}` });
}

export interface SilentNode {
  readonly node: string;
  readonly error: CxmError;
}

export interface Answers<T> {
  readonly answers: readonly { readonly node: string; readonly value: T }[];
  readonly silent: readonly SilentNode[];
}

/** Asks all nodes at the same time. */
export async function askNodes<Node extends { readonly name: string }, T>(
  nodes: readonly Node[],
  ask: (node: Node) => Promise<T>,
): Promise<Answers<T>> {
  const settled = await Promise.allSettled(nodes.map(async (node) => ({ node: node.name, value: await ask(node) })));
  const answers = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const silent = settled.flatMap((result, index) =>
    result.status === 'rejected' ? [{ node: nodes[index]?.name ?? '', error: asCxmError(result.reason) }] : [],
  );
  return { answers, silent };
}

/** @throws CxmError HOST_UNREACHABLE naming the nodes */
export function requireAll<T>({ answers, silent }: Answers<T>): Answers<T>['answers'] {
  const [first] = silent;
  if (first === undefined) return answers;
  const names = silent.map(({ node }) => node).join(', ');
  throw new CxmError('HOST_UNREACHABLE', `${names} can't be asked what runs there: ${first.error.message}`, {
    hint: 'mend the node; or fence it and leave it out with --nodes, once it is certain that nothing runs there',
    cause: first.error,
  });
}
