/** `cxm reboot FQDN`. */
import { startVm } from '../../cluster/start.ts';
import { rebootVm } from '../../cluster/stop.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const reboot: CommandBody = async (context) => {
  const vm = context.operand(0);
  const cluster = await context.open();
  const how = await rebootVm(cluster, vm, (node) => startVm(cluster, vm, { node }));
  context.answer(how === 'rebooted' ? `${vm} has rebooted.` : `${vm} was started anew.`, { vm, how });
  return exitCodes.done;
};
