/** reset DEPLOY_ID HOST VMID HOST: destroys the VM and starts it again. */
import type { Action } from '../../src/one/action.ts';
import { restart } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'reset', run: (context) => restart(context, 'reset') };
