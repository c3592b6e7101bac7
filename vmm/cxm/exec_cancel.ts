/** exec_cancel [EMPTY] VMID HOST (7.2 and later): nothing to do. */
import type { Action } from '../../src/one/action.ts';
import { cancelExec } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'exec_cancel', run: cancelExec };
