/** prereconfigure DEPLOY_ID TARGET VMID HOST: nothing to do. */
import type { Action } from '../../src/one/action.ts';
import { leaveContext } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'prereconfigure', run: (context) => leaveContext(context, 'prereconfigure') };
