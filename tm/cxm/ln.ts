/** ln FE:SOURCE HOST:DIR/disk.N VMID DSID: a persistent image as a volume on the host, until mvds brings it back. */
import { parseLn } from '../../src/one/arguments/transfer.ts';
import { ln } from '../../src/one/tm/clone.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'ln',
  run: (context) => ln(context, parseLn(context.argv)),
};
