/** delete HOST:PATH VMID DSID: a disk or the directory of a VM goes away. */
import { parseDelete } from '../../src/one/arguments/transfer.ts';
import { deleteTarget } from '../../src/one/tm/delete.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'delete',
  run: (context) => deleteTarget(context, parseDelete(context.argv)),
};
