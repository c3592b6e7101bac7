/**
 * The table of exceptions: calls whose outcome is not simply success with the action's usual effect, and why. Where the
 * recorder's scripts failed on purpose, a fault is put in that makes ours fail at the same place; where ours answer
 * otherwise than the recorder did, it says how oned goes on.
 */
import type { Knobs } from '../../src/sandbox/xl/knobs.ts';
import type { OneVersion } from '../support/recordings.ts';

export type Fault =
  | { readonly kind: 'node-down'; readonly node: string }
  | { readonly kind: 'image-away'; readonly imageId: number }
  | { readonly kind: 'knobs'; readonly node: string; readonly knobs: Partial<Knobs> }
  /** The line in sudoers is missing. */
  | { readonly kind: 'no-rights' }
  /** Somebody has plugged something in there. */
  | { readonly kind: 'target-taken'; readonly target: string };

/** What somebody else does before the call. */
export type ByHand =
  /** The cluster moves the VM; oned does not know. */
  | { readonly kind: 'moved'; readonly vmId: number; readonly from: string; readonly to: string }
  /** The guest is gone from its host. */
  | { readonly kind: 'vanished'; readonly vmId: number };

export interface Particular {
  readonly why: string;
  readonly fault?: Fault;
  readonly before?: ByHand;
  /** The action ends with this error, and nothing changes. */
  readonly fails?: RegExp;
  /** A deploy that fails leaves the VM's disks inactive, since nothing is called after it. */
  readonly deactivates?: 'node1';
  /** The action succeeds, and says this. */
  readonly warns?: RegExp;
}

const noRights: Pick<Particular, 'fault' | 'fails'> = { fault: { kind: 'no-rights' }, fails: /a password is required/ };
const noSnapshots = { why: 'Xen can not do this', fails: /Xen has no snapshots of a running VM/ };

function down(node: string): Fault {
  return { kind: 'node-down', node };
}

const of38: Readonly<Record<number, Particular>> = {
  64: {
    why: 'fail-livemigrate: the destination does not take the VM',
    fault: { kind: 'knobs', node: 'node1', knobs: { migrateFailsAt: 'receive' } },
    fails: /runs on here/,
  },
  67: { why: 'fail-premigrate: the destination is off', fault: down('node1'), fails: /node1/ },
  72: {
    why: 'fail-postmigrate: the source goes off; ours never fails there, so oned goes on with the destination',
    fault: down('node2'),
    warns: /may still be active on node2/,
  },
  75: {
    why: 'fail-save-suspend: no room for the checkpoint',
    fault: { kind: 'knobs', node: 'node1', knobs: { saveFails: 'ENOSPC' } },
    fails: /the VM runs on/,
  },
  78: { why: 'fail-shutdown: the rights are missing', ...noRights },
  82: { why: 'fail-attach: the target is taken', fault: { kind: 'target-taken', target: 'sda' }, fails: /sda/ },
  84: { why: 'fail-attach-tm: the image is missing', fault: { kind: 'image-away', imageId: 2 }, fails: /image-2/ },
  102: { why: 'fail-cold-migrate-mv: the destination is off', fault: down('node2'), fails: /node2/ },
  109: { why: 'fail-clone: the image is missing', fault: { kind: 'image-away', imageId: 0 }, fails: /image-0/ },
  130: {
    why: 'fail-deploy: Xen does not create the domain',
    fault: { kind: 'knobs', node: 'node1', knobs: { createFails: 'libxl: error: the recorder wanted it' } },
    fails: /the recorder wanted it/,
    deactivates: 'node1',
  },
  185: {
    why: 'hidden migration: the cluster has moved the VM, and oned is told with a live migration',
    before: { kind: 'moved', vmId: 8, from: 'node1', to: 'node2' },
  },
};

const of7x: Readonly<Record<number, Particular>> = {
  148: noSnapshots,
  149: noSnapshots,
  150: noSnapshots,
  156: { why: 'the VM was started without room for more memory', fails: /room for 256/ },
  187: { why: 'fail-shutdown-plain-stderr: the rights are missing', ...noRights },
  188: { why: 'fail-shutdown-block: the rights are missing', ...noRights },
  189: {
    why: 'fail-save: no room for the checkpoint',
    fault: { kind: 'knobs', node: 'node1', knobs: { saveFails: 'ENOSPC' } },
    fails: /the VM runs on/,
  },
  193: {
    why: 'fail-migrate-live-vmm: the destination does not take the VM',
    fault: { kind: 'knobs', node: 'node2', knobs: { migrateFailsAt: 'receive' } },
    fails: /runs on here/,
  },
  195: { why: 'fail-premigrate: the destination is off', fault: down('node2'), fails: /node2/ },
  196: {
    why: 'fail-premigrate: the destination is still off',
    fault: down('node2'),
    warns: /may still be active on node2/,
  },
  199: {
    why: 'fail-postmigrate: the source goes off; ours never fails there, and oned goes on in the same way',
    fault: down('node1'),
    warns: /may still be active on node1/,
  },
  203: { why: 'fail-attach-disk: the target is taken', fault: { kind: 'target-taken', target: 'xvdd' }, fails: /xvdd/ },
  205: {
    why: 'fail-tm-attach-clone: the image is missing',
    fault: { kind: 'image-away', imageId: 3 },
    fails: /image-3/,
  },
  208: { why: 'fail-detach-disk: the rights are missing', ...noRights },
  209: { why: 'fail-reboot: the rights are missing', ...noRights },
  211: { why: 'fail-cold-migrate-mv: the destination is off', fault: down('node1'), fails: /node1/ },
  225: { why: 'fail-deploy-clone: the image is missing', fault: { kind: 'image-away', imageId: 1 }, fails: /image-1/ },
  240: {
    why: 'fail-deploy-vmm: Xen does not create the domain',
    fault: { kind: 'knobs', node: 'node1', knobs: { createFails: 'libxl: error: the recorder wanted it' } },
    fails: /the recorder wanted it/,
    deactivates: 'node1',
  },
  342: noSnapshots,
  369: {
    why: 'monitoring-states: the VM is UNKNOWN, since its host has lost it',
    before: { kind: 'vanished', vmId: 12 },
  },
  471: {
    why: 'hidden migration: the cluster has moved the VM, and oned is told with a live migration',
    before: { kind: 'moved', vmId: 13, from: 'node1', to: 'node2' },
  },
  484: {
    why: 'migrate-source-host-dead: a source that is dead can not say whether it has the same volumes',
    fails: /can't be reached/,
  },
  490: {
    why: 'recover-success-in-MIGRATE: the administrator says that the VM has arrived, so it has',
    before: { kind: 'moved', vmId: 13, from: 'node2', to: 'node1' },
  },
};

export const particulars: Readonly<Record<OneVersion, Readonly<Record<number, Particular>>>> = {
  '3.8': of38,
  '7.x': of7x,
};

/** Calls that 3.8 makes at the same time: the first and the last of them. */
export const simultaneous: Readonly<Record<OneVersion, Readonly<Record<number, number>>>> = {
  '3.8': { 143: 147, 155: 159, 172: 178, 269: 275 },
  '7.x': {},
};

/** After the recorder's postmigrate had failed, 3.8 took the VM to be on the source; after ours it is where it is. */
export function hostInstead(host: string, { version, sequence, vmId }: HostQuestion): string {
  const moved = version === '3.8' && vmId === 1 && sequence > 72 && sequence <= 92;
  return moved && host === 'host02' ? 'host01' : host;
}

interface HostQuestion {
  readonly version: OneVersion;
  readonly sequence: number;
  readonly vmId: number | undefined;
}
