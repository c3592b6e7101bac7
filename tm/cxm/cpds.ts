/** cpds HOST:DIR/disk.N SOURCE [SNAPID] VMID DSID: a copy of a disk goes into an image, while the VM may run. */
import { parseCpds } from '../../src/one/arguments/transfer.ts';
import { cpds } from '../../src/one/tm/save.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'cpds',
  run: (context) => cpds(context, parseCpds(context.argv)),
};
