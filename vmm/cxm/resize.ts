/** resize DEPLOY_ID VMID HOST, the message on standard input: memory and CPUs of the running VM. */
import type { Action } from '../../src/one/action.ts';
import { resize } from '../../src/one/vmm/devices.ts';

export const action: Action = { name: 'resize', run: resize };
