/**
 * Whether the cluster knows what is started on a node. It does not where the node has been powered off and is not back: the
 * others may act as if nothing ran there. That is told by the heartbeat disk itself, since the node's own cxmd may not run.
 * Nor where a member's slot does not reach the disk: when the node falls silent, too, nobody asks its new VMs whether they
 * live, or starts them elsewhere. While that is so for all there is no master, and nobody acts by it.
 */
import type { CxmConf } from '../config/cxm-conf.ts';
import { CxmError } from '../errors.ts';
import {
  blockBytes,
  decodeHeader,
  decodeLease,
  decodeSlot,
  firstHeadBlock,
  leaseBlock,
  overflowBlock,
  overflowBlocks,
  overflowOf,
} from '../ha/disk/format.ts';
import type { NodeReport } from '../ha/daemon/view.ts';
import type { Commands } from '../host/commands.ts';
import type { DaemonLink } from './daemon.ts';

/** Past the page cache, which may hold blocks of long ago. $1 device, $2 first block, $3 blocks */
const readScript = `dd if="$1" iflag=direct bs=${blockBytes} skip="$2" count="$3" status=none | base64 -w0`;
const readMs = 10_000;

const members: ReadonlySet<NodeReport['role']> = new Set(['passive', 'active', 'voting']);

export interface StandingFacts {
  readonly daemon: DaemonLink | undefined;
  readonly conf: Pick<CxmConf, 'ALLOWED_NODES' | 'HB_DISK'>;
  readonly commands: Commands;
}

/**
 * @param daemon cxmd of this node; a member by its word is none that was fenced
 * @throws CxmError REFUSED when nothing may be started on this node
 */
export async function requireStanding(node: string, { daemon, conf, commands }: StandingFacts): Promise<void> {
  const report = daemon?.nodes.find(({ name }) => name === node);
  if (daemon !== undefined && report !== undefined && members.has(report.role)) {
    return requireSlot(report, daemon.nodes);
  }
  const { HB_DISK, ALLOWED_NODES } = conf;
  if (HB_DISK === undefined || !(await wasFenced(HB_DISK, ALLOWED_NODES.indexOf(node), commands))) return;
  throw new CxmError(
    'REFUSED',
    `${node} was powered off by the cluster and is not back in it: others may start its VMs`,
    {
      hint: `start cxmd on ${node} and wait until it is let in; without cxmd for good, take HB_DISK out of cxm.conf`,
    },
  );
}

function requireSlot({ name, disk }: NodeReport, nodes: readonly NodeReport[]): void {
  if (disk !== 'lost' || !nodes.some(({ role, net }) => role === 'active' && net === 'ok')) return;
  throw new CxmError('REFUSED', `${name} can't write to the heartbeat disk: the cluster would not know of a VM there`, {
    hint: `mend its path to the disk, or choose another node; cxmd_ctl --why ${name} tells more`,
  });
}

/** False also where the disk can't be read, or is none of this cluster's. */
async function wasFenced(device: string, index: number, commands: Commands): Promise<boolean> {
  const read = async (block: number, count: number): Promise<Buffer> => {
    const args = ['-c', readScript, 'sh', device, String(block), String(count)];
    return Buffer.from((await commands.run('sh', args, { timeoutMs: readMs })).stdout, 'base64');
  };
  try {
    const header = decodeHeader(await read(0, 1));
    if (typeof header !== 'object' || index < 0) return false;
    const lease = decodeLease(header.diskId, await read(leaseBlock, 1));
    const head = await read(firstHeadBlock + index, 1);
    const rest = overflowOf(head);
    const overflow = rest === undefined ? undefined : await read(overflowBlock(index, rest.area), overflowBlocks);
    const slot = decodeSlot(header.diskId, index, head, overflow);
    if (typeof lease !== 'object' || typeof slot !== 'object') return false;
    return slot.incarnation <= (lease.ledger.fenced[index] ?? 0);
  } catch {
    return false;
  }
}
