/** snap_create_live HOST:DIR/disk.N SNAPID VMID DSID: a snapshot of a disk of a running VM. */
import { parseSnapshot } from '../../src/one/arguments/transfer.ts';
import { changeSnapshot } from '../../src/one/tm/disk-changes.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'snap_create_live',
  run: (context) => changeSnapshot(context, parseSnapshot('snap_create_live', context.argv), 'create-snapshot', true),
};
