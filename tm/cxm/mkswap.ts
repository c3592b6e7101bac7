/** mkswap SIZE HOST:DIR/disk.N VMID DSID: a swap disk of SIZE MiB. */
import { parseMkswap } from '../../src/one/arguments/transfer.ts';
import { mkswap } from '../../src/one/tm/make.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'mkswap',
  run: (context) => mkswap(context, parseMkswap(context.argv)),
};
