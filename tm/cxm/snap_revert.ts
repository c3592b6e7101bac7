/** snap_revert HOST:DIR/disk.N SNAPID VMID DSID: a disk gets the content of a snapshot back. */
import { parseSnapshot } from '../../src/one/arguments/transfer.ts';
import { changeSnapshot } from '../../src/one/tm/disk-changes.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'snap_revert',
  run: (context) => changeSnapshot(context, parseSnapshot('snap_revert', context.argv), 'revert-snapshot'),
};
