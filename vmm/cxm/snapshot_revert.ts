/** snapshot_revert DEPLOY_ID NAME VMID HOST: refused. */
import type { Action } from '../../src/one/action.ts';
import { refuseSnapshot } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'snapshot_revert', run: (context) => refuseSnapshot(context, 'snapshot_revert') };
