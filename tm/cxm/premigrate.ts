/** premigrate HOST HOST DIR VMID DSID [XML] [SYSTEM_TM]: before a live migration: the disks become active on the destination. */
import { parseMigration } from '../../src/one/arguments/migration.ts';
import { premigrate } from '../../src/one/tm/migration.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'premigrate',
  run: async (context) =>
    premigrate(context, parseMigration('premigrate', context.argv, await context.standardInput())),
};
