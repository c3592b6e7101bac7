/** migrate DEPLOY_ID DESTINATION SOURCE VMID SOURCE, on the source: moves the running VM. */
import type { Action } from '../../src/one/action.ts';
import { migrate } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'migrate', run: migrate };
