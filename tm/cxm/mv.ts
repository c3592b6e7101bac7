/** mv HOST:PATH HOST:PATH VMID DSID: a disk or the directory of a VM changes its place. */
import { parseMv } from '../../src/one/arguments/transfer.ts';
import { mv } from '../../src/one/tm/mv.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'mv',
  run: (context) => mv(context, parseMv(context.argv)),
};
