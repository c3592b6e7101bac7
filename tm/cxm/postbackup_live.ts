/** postbackup_live HOST:DIR DISKIDS DEPLOY_ID JOB VMID DSID: the files of a backup go away. */
import { parseBackup } from '../../src/one/arguments/transfer.ts';
import { postbackup } from '../../src/one/tm/backup.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'postbackup_live',
  run: (context) => postbackup(context, parseBackup('postbackup_live', context.argv)),
};
