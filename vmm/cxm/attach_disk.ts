/** attach_disk DEPLOY_ID DISK TARGET INDEX MESSAGE VMID HOST: plugs a disk in. */
import type { Action } from '../../src/one/action.ts';
import { attachDisk } from '../../src/one/vmm/devices.ts';

export const action: Action = { name: 'attach_disk', run: attachDisk };
