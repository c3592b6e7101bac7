/** context FILE... HOST:DIR/disk.N VMID DSID: the contextualisation CD. */
import { parseContext } from '../../src/one/arguments/context.ts';
import { contextualise } from '../../src/one/tm/context.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'context',
  run: (context) => contextualise(context, parseContext(context.argv)),
};
