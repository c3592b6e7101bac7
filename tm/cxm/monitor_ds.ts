/** monitor_ds DIR: nothing to say; capacity comes from monitor, disks are no files. */
import { parseMonitorDs } from '../../src/one/arguments/transfer.ts';
import type { Action } from '../../src/one/action.ts';

export const action: Action = {
  name: 'monitor_ds',
  run(context) {
    parseMonitorDs(context.argv);
    return Promise.resolve(undefined);
  },
};
