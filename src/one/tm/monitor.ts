/**
 * monitor: how full the volume group behind a system datastore is, as one of its hosts sees it. The hosts are those of
 * BRIDGE_LIST, else all that OpenNebula monitors; the first that answers counts.
 */
import type { Capacity } from '../../agent/operations/resize-disk.ts';
import { asCxmError, CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { MonitorCall } from '../arguments/transfer.ts';
import { hostName } from '../arguments/values.ts';
import { createFrontend } from '../client.ts';
import { textOf } from '../documents/fields.ts';

const mib = 1024 * 1024;
/** HOST/STATE of a host that works. */
const monitored = 2;
const maxTries = 3;

export async function monitor(context: ActionContext, call: MonitorCall): Promise<string> {
  const failures: string[] = [];
  for (const host of (await candidates(context, call)).slice(0, maxTries)) {
    try {
      const capacity = (await context.helper({ host }, { operation: 'capacity', parameters: {} })) as Capacity;
      return formatCapacity(capacity);
    } catch (error) {
      failures.push(`${host}: ${asCxmError(error).message}`);
    }
  }
  const why = failures.length > 0 ? failures.join('; ') : 'there is no host to ask';
  throw new CxmError(
    'HOST_UNREACHABLE',
    `the volume group of datastore ${call.datastoreId} can't be measured: ${why}`,
    {
      hint: 'set BRIDGE_LIST of the datastore to hosts that see the volume group',
    },
  );
}

async function candidates(context: ActionContext, { datastore }: MonitorCall): Promise<readonly string[]> {
  const bridges =
    textOf(datastore.template, 'BRIDGE_LIST')
      ?.split(/[\s,]+/)
      .filter((word) => word !== '') ?? [];
  if (bridges.length > 0) return bridges.map((word) => hostName(word, 'BRIDGE_LIST of the datastore'));
  const hosts = await createFrontend(context.commands, { kind: 'local' }).hosts();
  const working = hosts.filter(({ state }) => state === monitored);
  return working.map(({ name }) => hostName(name, 'the name of a host'));
}

/** As all versions read it; the sizes of disks as 5.x and later take them. */
export function formatCapacity({ totalBytes, freeBytes, disks }: Capacity): string {
  const mb = (bytes: number): number => Math.floor(bytes / mib);
  const lines = [`USED_MB=${mb(totalBytes) - mb(freeBytes)}`, `TOTAL_MB=${mb(totalBytes)}`, `FREE_MB=${mb(freeBytes)}`];
  for (const vmId of [...new Set(disks.map((disk) => disk.vmId))].sort((a, b) => a - b)) {
    const own = disks.filter((disk) => disk.vmId === vmId);
    const sizes = own.map(({ diskId, sizeBytes }) => `DISK_SIZE=[ID=${diskId},SIZE=${mb(sizeBytes)}]`);
    // 5.x reads POLL, later versions MONITOR.
    const encoded = Buffer.from(sizes.join('\n')).toString('base64');
    lines.push(`VM=[ID=${vmId},POLL="${sizes.join(' ')}",MONITOR="${encoded}"]`);
  }
  return lines.join('\n');
}
