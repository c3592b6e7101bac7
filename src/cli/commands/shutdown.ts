/** `cxm shutdown FQDN`. */
import { shutdownVm } from '../../cluster/stop.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const shutdown: CommandBody = async (context) => {
  const vm = context.operand(0);
  const { node, ended } = await shutdownVm(await context.open(), vm);
  const how = ended === 'shutdown' ? 'has shut down' : 'did not shut down in time and was destroyed';
  context.answer(`${vm} ${how} on ${node}.`, { vm, node, ended });
  return exitCodes.done;
};
