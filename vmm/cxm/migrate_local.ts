/** migrate_local DEPLOY_ID DESTINATION SOURCE VMID SOURCE: as migrate, but run on the frontend. */
import type { Action } from '../../src/one/action.ts';
import { migrateLocal } from '../../src/one/vmm/domain.ts';

export const action: Action = { name: 'migrate_local', run: migrateLocal };
