/**
 * prebackup, postbackup (and _live): the disks of a VM as files in the backup directory on its host, where OpenNebula's
 * backup drivers fetch them. TM restore is refused: a backup is restored into a new image.
 */
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import type { BackupCall, BackupRestoreCall } from '../arguments/transfer.ts';
import { cloudName } from './shared.ts';

export async function prebackup(
  context: ActionContext,
  { directory, diskIds, vmId }: BackupCall,
  document: string,
  live: boolean,
): Promise<undefined> {
  const parameters = { vmId, diskIds, directory: directory.path, cloud: cloudName(context), live, document };
  await context.helper({ host: directory.host }, { operation: 'prepare-backup', parameters });
}

export async function postbackup(context: ActionContext, { directory, vmId }: BackupCall): Promise<undefined> {
  const parameters = { directory: directory.path, vmId };
  await context.helper({ host: directory.host }, { operation: 'cleanup-backup', parameters });
}

export function refuseRestore({ vmId }: BackupRestoreCall): never {
  throw new CxmError('UNSUPPORTED', `the disks of VM ${vmId} can't be restored in place`, {
    hint: 'restore the backup into new images with `oneimage restore` and attach those',
  });
}
