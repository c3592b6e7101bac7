/** mkimage SIZE FORMAT HOST:DIR/disk.N VMID DSID: a volatile disk of SIZE MiB. */
import { parseMkimage } from '../../src/one/arguments/transfer.ts';
import { mkimage } from '../../src/one/tm/make.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'mkimage',
  run: (context) => mkimage(context, parseMkimage(context.argv)),
};
