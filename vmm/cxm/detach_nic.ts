/** detach_nic DEPLOY_ID MAC VMID HOST: takes an interface out. */
import type { Action } from '../../src/one/action.ts';
import { detachNic } from '../../src/one/vmm/devices.ts';

export const action: Action = { name: 'detach_nic', run: detachNic };
