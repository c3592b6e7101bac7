/** postmigrate HOST HOST DIR VMID DSID [XML] [SYSTEM_TM]: after a live migration: the source lets go of the disks. */
import { parseMigration } from '../../src/one/arguments/migration.ts';
import { postmigrate } from '../../src/one/tm/migration.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'postmigrate',
  run: async (context) =>
    postmigrate(context, parseMigration('postmigrate', context.argv, await context.standardInput())),
};
