/** resize HOST:DIR/disk.N SIZE VMID DSID: a disk grows to SIZE MiB. */
import { parseResize } from '../../src/one/arguments/transfer.ts';
import { resize } from '../../src/one/tm/disk-changes.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'resize',
  run: (context) => resize(context, parseResize(context.argv)),
};
