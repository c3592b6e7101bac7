/**
 * The calls to the transfer manager and the virtual machine manager in the order in which oned made them: what
 * 00-calls.txt lists, each with its recording. Some that repeat others were not kept as files; they get their arguments
 * from the list and everything else from the call that they repeat.
 */
import { recordedFile, recordings, type OneVersion, type Recording } from '../support/recordings.ts';

export interface Call extends Omit<Recording, 'driver'> {
  readonly driver: 'tm' | 'vmm';
  readonly vmId: number | undefined;
  /** The list shows the call so often; all but this one are the same. */
  readonly times: number;
}

interface Listed {
  readonly sequence: number;
  readonly scenario: string;
  readonly driver: 'tm' | 'vmm';
  readonly action: string;
  readonly words: readonly string[];
}

const line = /^(\d{4}) \[(.*)\] (tm|vmm)\/(\S+) (.*?) {3}\{stdin:\d+B\}$/;

/** Every line of the list but repeated polls, which are counted at the one that was kept. */
export function recordedCalls(version: OneVersion): Call[] {
  const kept = recordings(version).filter(isCall);
  const bySequence = new Map(kept.map((recording) => [recording.sequence, recording]));
  const calls: Call[] = [];
  const listed = list(version);
  for (const entry of listed) {
    const own = bySequence.get(entry.sequence);
    if (own !== undefined) calls.push(callOf(own, 1));
    else if (entry.action === 'poll') countAgain(calls, entry);
    else calls.push(callOf(repeated(entry, kept), 1));
  }
  // The first monitor is in no scenario, so the list begins after it.
  const first = listed[0]?.sequence ?? 0;
  const before = kept.filter(({ sequence }) => sequence < first).map((recording) => callOf(recording, 1));
  return withDeployments([...before, ...calls]);
}

/** A local driver of 3.8 reads the deployment file itself. Ours get it sent, as the last remote one got its own. */
function withDeployments(calls: readonly Call[]): Call[] {
  return calls.map((call, index) => {
    if (call.action !== 'deploy' || call.standardInput !== '') return call;
    const like = calls.slice(0, index).findLast(({ action, standardInput }) => {
      return action === 'deploy' && standardInput.startsWith('name');
    });
    if (like === undefined) throw new Error(`there is no deployment file like that of ${call.file}`);
    const standardInput = like.standardInput
      .replaceAll(`/${like.vmId}/disk.`, `/${call.vmId}/disk.`)
      .replace(`one-${like.vmId}`, `one-${call.vmId}`);
    return { ...call, standardInput };
  });
}

/** How often the version's list has each action, as `tm/clone`. */
export function listedCounts(version: OneVersion): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { driver, action } of list(version)) {
    const key = `${driver}/${action}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function list(version: OneVersion): Listed[] {
  return recordedFile(version, '00-calls.txt')
    .split('\n')
    .filter((text) => /^\d/.test(text))
    .map((text) => {
      const [, sequence, scenario = '', driver, action = '', words = ''] = line.exec(text) ?? [];
      if (sequence === undefined) throw new Error(`not a call: ${text}`);
      const name = action.replace(/\..*$/, '');
      return {
        sequence: Number(sequence),
        scenario,
        driver: driver as Listed['driver'],
        action: name,
        words: words.split(' '),
      };
    });
}

function isCall(recording: Recording): recording is Recording & { readonly driver: 'tm' | 'vmm' } {
  return recording.driver !== 'datastore';
}

function callOf(recording: Recording & { readonly driver: 'tm' | 'vmm' }, times: number): Call {
  const { argv, action } = recording;
  const at = /^(pre|post|fail)migrate$/.test(action) ? 3 : argv.length - 2;
  const vmId = action === 'monitor' ? undefined : Number(argv[at]);
  return { ...recording, vmId, times };
}

/** The nearest earlier call of the same action, or a later one, with the words of this one. */
function repeated(entry: Listed, kept: readonly (Recording & { readonly driver: 'tm' | 'vmm' })[]) {
  const alike = kept.filter(({ driver, action }) => driver === entry.driver && action === entry.action);
  const like = alike.findLast(({ sequence }) => sequence < entry.sequence) ?? alike[0];
  if (like === undefined) throw new Error(`no recording is like ${entry.sequence}`);
  const file = `${String(entry.sequence).padStart(4, '0')} (only listed)`;
  return { ...like, file, sequence: entry.sequence, scenario: entry.scenario, argv: entry.words };
}

function countAgain(calls: Call[], { words, sequence }: Listed): void {
  const index = calls.findLastIndex(({ action, argv }) => action === 'poll' && argv.join(' ') === words.join(' '));
  const call = calls[index];
  if (call === undefined) throw new Error(`poll ${sequence} repeats nothing`);
  calls[index] = { ...call, times: call.times + 1 };
}
