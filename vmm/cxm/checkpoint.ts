/** checkpoint: refused. */
import type { Action } from '../../src/one/action.ts';
import { refuseCheckpoint } from '../../src/one/vmm/refusals.ts';

export const action: Action = { name: 'checkpoint', run: refuseCheckpoint };
