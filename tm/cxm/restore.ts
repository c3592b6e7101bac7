/** restore HOST:DIR VMID IMAGEID INCREMENT DISKID: refused; a backup is restored into new images. */
import { parseBackupRestore } from '../../src/one/arguments/transfer.ts';
import { refuseRestore } from '../../src/one/tm/backup.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'restore',
  run: (context) => Promise.resolve(refuseRestore(parseBackupRestore(context.argv))),
};
