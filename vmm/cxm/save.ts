/** save DEPLOY_ID CHECKPOINT HOST VMID HOST: writes the checkpoint and ends the VM. */
import type { Action } from '../../src/one/action.ts';
import { save } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'save', run: save };
