/**
 * Migrations that were cut off, because their cxm or cxmd was killed, are brought to their end without a person, by the
 * library of the cluster.
 *
 * Guarantees: one that is under way is not touched, since its lock is held; no VM is started, moved or ended, only the
 * suspended rest of one that runs elsewhere; of what can't be mended is told once.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { concludeMigration } from '../cluster/migrate.ts';
import { unfinishedMoves } from '../cluster/migrate-mend.ts';
import { asCxmError } from '../errors.ts';
import type { MasterRound, MasterWork } from '../ha/effects/master-work.ts';

export interface MenderParts {
  open(nodes: readonly string[]): Cluster;
}

/** Most migrations have ended by then, and are not looked at. */
const youngSeconds = 60;
/** Whoever holds the VM works on it: there will be another round. */
const lockTimeoutMs = 1000;

export function migrationMender({ open }: MenderParts): MasterWork {
  /** What was told of VMs that wait yet. */
  let told = new Map<string, string>();
  const mendAll = async (cluster: Cluster, { obstacle, tell }: MasterRound): Promise<void> => {
    const waiting = new Map<string, string>();
    for (const vm of await unfinishedMoves(cluster, youngSeconds)) {
      if (obstacle() !== undefined) return;
      try {
        if (await concludeMigration(cluster, vm)) tell(`${vm}: what a migration had left undone was done`);
      } catch (error) {
        const { code, message } = asCxmError(error);
        if (code === 'IN_USE') continue;
        if (told.get(vm) !== message) tell(`${vm}: a migration was cut off, and is not mended: ${message}`);
        waiting.set(vm, message);
      }
    }
    told = waiting;
  };
  return {
    async round(round) {
      try {
        const cluster = open(round.nodes);
        await mendAll({ ...cluster, settings: { ...cluster.settings, lockTimeoutMs } }, round);
      } catch (error) {
        round.tell(`nothing is mended: ${asCxmError(error).message}`);
      }
    },
  };
}
