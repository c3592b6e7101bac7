/**
 * Asking the nodes for what is only printed: whoever answers is printed, whoever does not is named at the end and makes the
 * exit code 1. Those not heard of after a second are told.
 */
import { askNodes, type Answers, type Cluster, type SilentNode } from '../cluster/cluster.ts';
import type { ClusterNode } from '../cluster/node.ts';
import { plainError } from '../cluster/survey.ts';
import type { CommandContext } from './context.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';

export async function look<T>(
  { progress }: CommandContext,
  cluster: Cluster,
  ask: (node: ClusterNode) => Promise<T>,
): Promise<Answers<T>> {
  const unheard = new Set(cluster.nodes.map(({ name }) => name));
  const asking = askNodes(cluster.nodes, (node) => ask(node).finally(() => unheard.delete(node.name)));
  return progress.during(() => `waiting for ${[...unheard].join(', ')}`, asking);
}

export function tellSilent({ progress }: CommandContext, silent: readonly SilentNode[]): ExitCode {
  for (const { node, error } of silent) progress.note('WARN', `${node} does not answer: ${error.message}`);
  return silent.length === 0 ? exitCodes.done : exitCodes.error;
}

export function silentJson(silent: readonly SilentNode[]): readonly object[] {
  return silent.map(({ node, error }) => ({ node, error: plainError(error) }));
}
