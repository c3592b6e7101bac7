/** exec VMID HOST COMMAND INPUT (7.2 and later): refused. */
import type { Action } from '../../src/one/action.ts';
import { refuseExec } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'exec', run: refuseExec };
