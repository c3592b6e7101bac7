/** `cxm activate FQDN`: exclusively, on this node or the forced one. */
import { activateVm } from '../../cluster/activate.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const activate: CommandBody = async (context) => {
  const vm = context.operand(0);
  const node = context.ownNode;
  const shared = await activateVm(await context.open(), vm, node);
  const where = shared.length === 0 ? ' and nowhere else' : '; those that it writes to nowhere else';
  context.answer(`The volumes of ${vm} are active on ${node}${where}.`, { vm, node, active: true });
  return exitCodes.done;
};
