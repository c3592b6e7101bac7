/**
 * `cxm guard`: how cxm-host of this node asks the cluster, see src/agent/cluster-guard.ts for the other side. One line is
 * the answer: `held`, with a word where one was asked for, or an error as JSON. Then the VM stays held until standard input
 * says `done` or ends, and the last line is `kept` or an error. No command for people: it is in no help.
 */
import { parseArgs } from 'node:util';
import { requireAll } from '../cluster/cluster.ts';
import {
  guardMigration,
  guardStart,
  guardStay,
  guardWork,
  releaseElsewhere,
  type GuardedOutcome,
} from '../cluster/guard.ts';
import { listNodes } from '../cluster/locate.ts';
import { checkedName } from '../cluster/node-files.ts';
import { whereabouts } from '../cluster/survey.ts';
import { asCxmError, CxmError } from '../errors.ts';
import { nodeNameAmong } from '../host-name.ts';
import { volumeOfPath, type VolumeName } from '../lvm/device-path.ts';
import type { Cluster, Reporter } from '../cluster/cluster.ts';
import type { CliEnvironment } from './environment.ts';
import { exitCodeOf, exitCodes, type ExitCode } from './exit-codes.ts';
import { failureJson } from './failure.ts';

/** What is read from: the words of whoever holds the VM. */
export type GuardInput = AsyncIterable<Buffer | string>;

export async function runGuard(
  argv: readonly string[],
  environment: CliEnvironment,
  input: GuardInput,
): Promise<ExitCode> {
  const { stdout, stderr } = environment.terminal;
  let answered = false;
  const answer = (line: string): void => {
    answered = true;
    stdout.write(`${line}\n`);
  };
  const reporter: Reporter = {
    step: () => undefined,
    note: (_severity, text) => void stderr.write(`${text}\n`),
  };
  const opened = environment.open({ changes: true, refresh: true, reporter, signal: new AbortController().signal });
  try {
    const { cluster } = await opened;
    const hold = (word?: string): Promise<GuardedOutcome> => {
      answer(word === undefined ? 'held' : `held ${word}`);
      return outcomeFrom(input);
    };
    await guard(cluster, argv, environment.localName, hold);
    answer('kept');
    return exitCodes.done;
  } catch (error) {
    const failure = asCxmError(error);
    if (answered) stderr.write(`${failure.message}\n`);
    answer(JSON.stringify(failureJson(failure)));
    return exitCodeOf(failure.code);
  } finally {
    await opened.then(
      (cluster) => cluster.close(),
      () => undefined,
    );
  }
}

async function guard(
  cluster: Cluster,
  argv: readonly string[],
  node: string,
  hold: (word?: string) => Promise<GuardedOutcome>,
): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { volume: { type: 'string', multiple: true } },
    allowPositionals: true,
  });
  const [what, first, second] = positionals;
  if (what === 'release') {
    await releaseElsewhere(cluster, { node, volumes: positionals.slice(1).map(volumeNamed) }, hold);
  } else if (what === 'find' && first !== undefined) {
    await hold(await nodeWith(cluster, positionals.slice(1).map(checkedName), node));
  } else if (what === 'start' && first !== undefined) {
    const volumes = (values.volume ?? []).map(volumeNamed);
    await guardStart(cluster, { vm: checkedName(first), node, volumes }, hold);
  } else if (what === 'stay' && first !== undefined) {
    await guardStay(cluster, { vm: checkedName(first), node }, hold);
  } else if (what === 'migrate' && first !== undefined && second !== undefined) {
    // OpenNebula may have its hosts under full names where the cluster has short ones.
    const destination = nodeNameAmong(
      second,
      cluster.nodes.map(({ name }) => name),
    );
    await guardMigration(cluster, { vm: checkedName(first), destination }, hold);
  } else if (what === 'hold' && first !== undefined) {
    await guardWork(cluster, { vm: checkedName(first), node }, hold);
  } else {
    throw new CxmError('USAGE', 'cxm guard is for cxm-host alone');
  }
}

function volumeNamed(text: string): VolumeName {
  const volume = volumeOfPath(`/dev/${text}`);
  if (volume !== undefined) return volume;
  throw new CxmError('INVALID_INPUT', `${JSON.stringify(text.slice(0, 100))} is no VG/LV`);
}

/** Another node that has one of the VMs, in whatever state. */
async function nodeWith(cluster: Cluster, vms: readonly string[], node: string): Promise<string | undefined> {
  const rows = requireAll(await listNodes(cluster)).map((answer) => ({ node: answer.node, rows: answer.value }));
  const places = vms.flatMap((vm) => {
    const { running, traces } = whereabouts(rows, vm);
    return [...running, ...traces];
  });
  return places.find((place) => place.node !== node)?.node;
}

async function outcomeFrom(input: GuardInput): Promise<GuardedOutcome> {
  let text = '';
  for await (const chunk of input) {
    text += chunk.toString();
    if (text.includes('\n') || text.length > 100) break;
  }
  return text.startsWith('done\n') ? 'done' : 'given-up';
}
