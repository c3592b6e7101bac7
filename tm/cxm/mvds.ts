/** mvds HOST:DIR/disk.N SOURCE VMID DSID: a disk goes into its image and its volume goes away. */
import { parseMvds } from '../../src/one/arguments/transfer.ts';
import { mvds } from '../../src/one/tm/save.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'mvds',
  run: (context) => mvds(context, parseMvds(context.argv)),
};
