/** monitor DSID (document on standard input) or monitor XML DSID: capacity of the volume group. */
import { parseMonitor } from '../../src/one/arguments/transfer.ts';
import { monitor } from '../../src/one/tm/monitor.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'monitor',
  run: async (context) => monitor(context, parseMonitor(context.argv, await context.standardInput())),
};
