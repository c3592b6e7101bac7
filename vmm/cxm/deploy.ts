/** deploy FILE HOST VMID HOST, the deployment file on standard input: starts the VM and prints its deploy id. */
import type { Action } from '../../src/one/action.ts';
import { deploy } from '../../src/one/vmm/deploy.ts';

export const action: Action = { name: 'deploy', run: deploy };
