/**
 * Where a VM is after a migration, by what both nodes say, and what a lost connection has left of it. Nothing in here switches
 * anything off.
 */
import { asCxmError, CxmError } from '../errors.ts';
import { meaningOf, rowsOf, runsHere, type DomainRow } from '../xen/domain-list.ts';
import { isToolstackError } from '../xen/toolstack-error.ts';
import { nodeNamed, type Cluster } from './cluster.ts';

/** Names of a VM and of two nodes. */
export interface Move {
  readonly vm: string;
  readonly source: string;
  readonly destination: string;
}

/** The source's domain leaves the list a moment after the destination's runs. */
const settleMs = 20_000;

export type Outcome = 'moved' | 'stayed' | 'both' | 'nowhere' | 'unknown';

/** What to say when nobody can tell that the VM is on one of the two nodes and not on the other. */
export function undecided(
  { vm, source, destination }: Move,
  outcome: Exclude<Outcome, 'moved' | 'stayed'>,
  said: string,
  cause: unknown,
): CxmError {
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

/**
 * Where the VM runs, by what both nodes say, which is asked again as long as things are still moving. An xl that may be at
 * work yet can still move what seems to have stayed; what it has handed over does not come back.
 */
export async function outcomeOf(cluster: Cluster, { vm, source, destination }: Move, ended: boolean): Promise<Outcome> {
  const giveUp = cluster.clock.now() + settleMs;
  for (;;) {
    const [here, there] = await Promise.all([rowsOn(cluster, source, vm), rowsOn(cluster, destination, vm)]);
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

/** What is left of a domain whose guest is elsewhere. */
export function isShell(row: DomainRow): boolean {
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

/**
 * Removes what a lost connection has left of the source's domain: it holds the disks, and its guest runs elsewhere.
 * @returns false when something stays, which has been told
 */
export async function removeShells(cluster: Cluster, node: string, vm: string): Promise<boolean> {
  const { toolstack } = nodeNamed(cluster, node).under(vm);
  const rows = await rowsOn(cluster, node, vm);
  let clean = rows !== undefined;
  for (const row of rows ?? []) {
    if (meaningOf(row) !== 'leaving') continue;
    try {
      await toolstack.destroy(row.id);
    } catch (error) {
      if (isToolstackError(error, 'unknownDomain')) continue;
      clean = false;
      cluster.reporter.note('WARN', `domain ${row.id} of ${vm} stays on ${node}: ${asCxmError(error).message}`);
    }
  }
  return clean;
}
