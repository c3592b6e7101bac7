/** snap_create HOST:DIR/disk.N SNAPID VMID DSID: a snapshot of a disk that no VM uses. */
import { parseSnapshot } from '../../src/one/arguments/transfer.ts';
import { changeSnapshot } from '../../src/one/tm/disk-changes.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'snap_create',
  run: (context) => changeSnapshot(context, parseSnapshot('snap_create', context.argv), 'create-snapshot'),
};
