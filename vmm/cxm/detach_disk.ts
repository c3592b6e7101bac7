/** detach_disk DEPLOY_ID DISK TARGET INDEX VMID HOST: takes a disk out. */
import type { Action } from '../../src/one/action.ts';
import { detachDisk } from '../../src/one/vmm/devices.ts';

export const action: Action = { name: 'detach_disk', run: detachDisk };
