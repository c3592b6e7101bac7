/** reconfigure DEPLOY_ID TARGET CONTEXT_DISK VMID HOST: nothing to do. */
import type { Action } from '../../src/one/action.ts';
import { leaveContext } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'reconfigure', run: (context) => leaveContext(context, 'reconfigure') };
