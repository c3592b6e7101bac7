/** `cxm activate FQDN`: exclusively, on this node or the forced one. */
import { activateVm } from '../../cluster/activate.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const activate: CommandBody = async (context) => {
  const vm = context.operand(0);
  const node = context.ownNode;
  await activateVm(await context.open(), vm, node);
  context.answer(`The volumes of ${vm} are active on ${node} and nowhere else.`, { vm, node, active: true });
  return exitCodes.done;
};
