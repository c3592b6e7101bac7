/** snap_delete HOST:DIR/disk.N SNAPID VMID DSID: a snapshot goes away. */
import { parseSnapshot } from '../../src/one/arguments/transfer.ts';
import { changeSnapshot } from '../../src/one/tm/disk-changes.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'snap_delete',
  run: (context) => changeSnapshot(context, parseSnapshot('snap_delete', context.argv), 'delete-snapshot'),
};
