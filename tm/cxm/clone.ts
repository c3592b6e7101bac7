/** clone FE:SOURCE HOST:DIR/disk.N VMID DSID: a private copy of an image as a volume on the host. */
import { parseClone } from '../../src/one/arguments/transfer.ts';
import { clone } from '../../src/one/tm/clone.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'clone',
  run: (context) => clone(context, parseClone(context.argv)),
};
