/** cancel DEPLOY_ID HOST VMID HOST: destroys the VM. */
import type { Action } from '../../src/one/action.ts';
import { cancel } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'cancel', run: cancel };
