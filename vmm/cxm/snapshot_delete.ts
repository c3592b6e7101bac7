/** snapshot_delete DEPLOY_ID NAME VMID HOST: refused. */
import type { Action } from '../../src/one/action.ts';
import { refuseSnapshot } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'snapshot_delete', run: (context) => refuseSnapshot(context, 'snapshot_delete') };
