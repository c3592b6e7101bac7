/** resize_disk DEPLOY_ID DISK_ID MIB MESSAGE HOST VMID HOST: after the transfer manager has enlarged the volume. */
import type { Action } from '../../src/one/action.ts';
import { resizeDisk } from '../../src/one/vmm/devices.ts';

export const action: Action = { name: 'resize_disk', run: resizeDisk };
