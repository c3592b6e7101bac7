/** restore CHECKPOINT HOST [DEPLOY_ID] VMID HOST: starts the VM from its checkpoint. */
import type { Action } from '../../src/one/action.ts';
import { restore } from '../../src/one/vmm/deploy.ts';

export const action: Action = { name: 'restore', run: restore };
