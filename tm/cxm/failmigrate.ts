/** failmigrate HOST HOST DIR VMID DSID [XML] [SYSTEM_TM]: after a failed live migration: the destination lets go of the disks. */
import { parseMigration } from '../../src/one/arguments/migration.ts';
import { failmigrate } from '../../src/one/tm/migration.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'failmigrate',
  run: async (context) =>
    failmigrate(context, parseMigration('failmigrate', context.argv, await context.standardInput())),
};
