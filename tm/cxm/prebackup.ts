/** prebackup HOST:DIR DISKIDS DEPLOY_ID JOB VMID DSID (VM document on standard input): disks as files for a backup. */
import { parseBackup } from '../../src/one/arguments/transfer.ts';
import { prebackup } from '../../src/one/tm/backup.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'prebackup',
  async run(context) {
    const document = await context.standardInput();
    return prebackup(context, parseBackup('prebackup', context.argv, document), document, false);
  },
};
