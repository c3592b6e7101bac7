/** shutdown DEPLOY_ID HOST VMID HOST: asks the guest, waits, then destroys it. */
import type { Action } from '../../src/one/action.ts';
import { shutdown } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'shutdown', run: shutdown };
