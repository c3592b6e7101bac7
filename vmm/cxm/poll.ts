/** poll DEPLOY_ID HOST VMID HOST: prints what the VM uses (OpenNebula 3.x to 5.10). */
import type { Action } from '../../src/one/action.ts';
import { poll } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'poll', run: poll };
