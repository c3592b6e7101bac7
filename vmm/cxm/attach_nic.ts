/** attach_nic DEPLOY_ID MAC BRIDGE MODEL DRIVER [TARGET] VMID HOST: plugs an interface in. */
import type { Action } from '../../src/one/action.ts';
import { attachNic } from '../../src/one/vmm/devices.ts';

export const action: Action = { name: 'attach_nic', run: attachNic };
