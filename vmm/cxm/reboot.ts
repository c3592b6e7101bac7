/** reboot DEPLOY_ID HOST VMID HOST: asks the guest to reboot. */
import type { Action } from '../../src/one/action.ts';
import { restart } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'reboot', run: (context) => restart(context, 'reboot') };
