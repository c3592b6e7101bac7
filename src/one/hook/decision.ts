/**
 * What to tell OpenNebula about a VM that the cluster has moved, decided from what OpenNebula thinks of the VM now.
 * Pure: the same state gives the same step, and after the step has worked the next decision is
 * `done`, so the hook can be repeated at any time.
 */
import type { VirtualMachine } from '../documents/virtual-machine.ts';
import { sameHost } from './hosts.ts';

export type Step =
  /** Nothing (more) to tell. */
  | { readonly kind: 'done'; readonly reason: string }
  /** Run `onevm` with these words, then look again. */
  | { readonly kind: 'tell'; readonly words: readonly string[]; readonly reason: string }
  /** OpenNebula is busy with the VM or another hook's turn comes first: look again later. */
  | { readonly kind: 'wait'; readonly reason: string }
  /** OpenNebula cannot be told in this state; a person has to look. */
  | { readonly kind: 'impossible'; readonly reason: string };

export interface Version {
  readonly major: number;
  readonly minor: number;
}

export interface Situation {
  readonly vm: VirtualMachine;
  readonly version: Version;
  /** OpenNebula's names. */
  readonly sourceHost: string;
  readonly destinationHost: string;
  /** How long the VM has been seen unchanged in this state, ms. */
  readonly unchangedMs: number;
}

/** A migration in OpenNebula that lasts longer after ours has ended is taken for hung, and told that it succeeded. */
export const hungMigrationMs = 60_000;
/** How long the hook of an earlier move gets to tell that one first. */
export const earlierMoveMs = 60_000;

const active = 3;
const running = 3;
const migrating = 4;
const unknown = 16;

/** VM STATE by number, for messages. */
const stateNames: Readonly<Record<number, string>> = {
  0: 'INIT',
  1: 'PENDING',
  2: 'HOLD',
  3: 'ACTIVE',
  4: 'STOPPED',
  5: 'SUSPENDED',
  6: 'DONE',
  7: 'FAILED',
  8: 'POWEROFF',
  9: 'UNDEPLOYED',
  10: 'CLONING',
  11: 'CLONING_FAILURE',
};

export function decide(situation: Situation): Step {
  const { vm, destinationHost } = situation;
  const place = vm.history.at(-1)?.host;
  if (vm.id === undefined || place === undefined) {
    return { kind: 'impossible', reason: 'OpenNebula has never run the VM on a host' };
  }
  const there = sameHost(place, destinationHost);
  if (vm.state === active)
    return there ? decideAtDestination(situation, vm.id) : decideElsewhere(situation, vm.id, place);
  const name = stateName(vm.state);
  if (there) return { kind: 'done', reason: `OpenNebula has it at ${place} already, as ${name}` };
  // Monitoring of the old host may have found the VM gone before we came: POWEROFF (5.x+) and SUSPENDED ones can
  // be given another host without touching the domain; the new host's monitoring then finds it running.
  if ((vm.state === 8 || vm.state === 5) && situation.version.major >= 5) {
    return tell(['migrate', String(vm.id), destinationHost], `it is ${name} at ${place}`);
  }
  return { kind: 'impossible', reason: `OpenNebula has it as ${name} at ${place}, where it cannot be moved` };
}

/** OpenNebula names the destination as the VM's host, or as where a migration goes. */
function decideAtDestination({ vm, version, unchangedMs, destinationHost }: Situation, vmId: number): Step {
  if (vm.lcmState !== migrating) {
    return { kind: 'done', reason: `OpenNebula has it at ${destinationHost} already` };
  }
  if (unchangedMs < hungMigrationMs) return { kind: 'wait', reason: 'OpenNebula is migrating it there itself' };
  if (version.major < 4) return { kind: 'wait', reason: 'OpenNebula 3.x has to end its own migration first' };
  return tell(['recover', '--success', String(vmId)], 'its migration in OpenNebula hangs though the VM is there');
}

function decideElsewhere(situation: Situation, vmId: number, place: string): Step {
  const { vm, version, sourceHost, destinationHost, unchangedMs } = situation;
  if (vm.lcmState === running) {
    if (!sameHost(place, sourceHost) && unchangedMs < earlierMoveMs) {
      return { kind: 'wait', reason: `OpenNebula has it at ${place}: an earlier move is to be told first` };
    }
    const old = version.major < 4;
    const words = old ? ['livemigrate'] : ['migrate', '--live'];
    return tell([...words, String(vmId), destinationHost], `it is RUNNING at ${place}`);
  }
  if (vm.lcmState === unknown && version.major >= 5) {
    return tell(['migrate', '--live', String(vmId), destinationHost], `it is UNKNOWN at ${place}`);
  }
  const name = vm.lcmState === unknown ? 'UNKNOWN' : `ACTIVE with LCM state ${vm.lcmState ?? 'none'}`;
  return { kind: 'wait', reason: `OpenNebula has it as ${name} at ${place}` };
}

function tell(words: readonly string[], reason: string): Step {
  return { kind: 'tell', words, reason };
}

function stateName(state: number | undefined): string {
  return stateNames[state ?? -1] ?? `state ${state ?? 'none'}`;
}

/** The version of `onevm --version`: `OpenNebula 7.4.0` in its first line. */
export function parseVersion(output: string): Version | undefined {
  const match = /OpenNebula\s+v?([0-9]{1,3})\.([0-9]{1,3})/.exec(output);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}
