/** Where nothing may be started, by what stands on a real file as heartbeat disk. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DaemonLink } from '../../src/cli/daemon.ts';
import { requireStanding } from '../../src/cli/standing.ts';
import {
  blockBytes,
  diskBytes,
  encodeHeader,
  encodeLease,
  encodeSlot,
  firstHeadBlock,
  leaseBlock,
  overflowBlock,
} from '../../src/ha/disk/format.ts';
import { localMachine } from '../../src/host/hold.ts';
import { leaseOf, slotOf } from '../ha/protocol/member.ts';

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'cxm-standing-'))));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const diskId = '0123456789abcdef0123456789abcdef';
const ALLOWED_NODES = ['alpha', 'beta'];

/** @param incarnation of beta's slot @param vms in it */
function diskWith(incarnation: number, fenced: number, vms = 1): string {
  const disk = Buffer.alloc(diskBytes);
  const lease = leaseOf(0, 3, 7);
  encodeHeader({ diskId, cluster: 'test' }).copy(disk);
  encodeLease(diskId, { ...lease, ledger: { ...lease.ledger, fenced: [0, fenced] } }).copy(
    disk,
    leaseBlock * blockBytes,
  );
  const names = Array.from({ length: vms }, (_, at) => `vm-with-a-long-name-number-${String(at)}`);
  const slot = { ...slotOf(1, 'beta', 5, 3), incarnation };
  const entries = names.map((name) => ({ name, phase: 'running' as const }));
  const { head, overflow } = encodeSlot(diskId, { ...slot, vms: entries }, 1);
  head.copy(disk, (firstHeadBlock + 1) * blockBytes);
  overflow.copy(disk, overflowBlock(1, 1) * blockBytes);
  const path = join(directory, `disk-${String(incarnation)}-${String(fenced)}-${String(vms)}`);
  writeFileSync(path, disk);
  return path;
}

function startOn(node: string, HB_DISK: string | undefined, role?: string): Promise<void> {
  const daemon = role === undefined ? undefined : ({ nodes: [{ name: node, role }] } as unknown as DaemonLink);
  return requireStanding(node, { daemon, conf: { ALLOWED_NODES, HB_DISK }, commands: localMachine });
}

const refusal = 'beta was powered off by the cluster and is not back in it';

test.each([undefined, 'off', 'joining', 'alone', 'unknown'])(
  'nothing is started on a node that was fenced and has not come back, with cxmd saying %s of it',
  async (role) => {
    await expect(startOn('beta', diskWith(4, 4), role)).rejects.toThrow(refusal);
  },
);

test('the same where its VMs fill more than one block', async () => {
  await expect(startOn('beta', diskWith(4, 4, 200))).rejects.toThrow(refusal);
});

test('it may be used again when it has come back, and when cxmd calls it a member', async () => {
  await startOn('beta', diskWith(5, 4));
  await startOn('beta', diskWith(4, 4), 'passive');
});

test('others may be used, and so may all where there is no heartbeat disk, or none that can be read', async () => {
  await startOn('alpha', diskWith(4, 4));
  await startOn('beta', undefined);
  await startOn('beta', join(directory, 'missing'));
  writeFileSync(join(directory, 'other'), Buffer.alloc(diskBytes));
  await startOn('beta', join(directory, 'other'));
});

describe('a member whose slot does not reach the disk', () => {
  const beta = { name: 'beta', role: 'passive', net: 'ok', disk: 'lost' };
  const startBeside = (other: object): Promise<void> => {
    const daemon = { nodes: [beta, { name: 'alpha', net: 'ok', disk: 'ok', ...other }] } as unknown as DaemonLink;
    return requireStanding('beta', { daemon, conf: { ALLOWED_NODES, HB_DISK: undefined }, commands: localMachine });
  };

  test('gets no VM while there is a master, who would not know of it', async () => {
    await expect(startBeside({ role: 'active' })).rejects.toThrow("beta can't write to the heartbeat disk");
  });

  test('may get one while nobody can act by what stands there', async () => {
    await startBeside({ role: 'voting' });
    await startBeside({ role: 'active', net: 'lost' });
  });
});
