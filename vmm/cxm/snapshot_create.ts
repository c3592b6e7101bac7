/** snapshot_create DEPLOY_ID SNAPSHOT VMID HOST: refused. */
import type { Action } from '../../src/one/action.ts';
import { refuseSnapshot } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'snapshot_create', run: (context) => refuseSnapshot(context, 'snapshot_create') };
