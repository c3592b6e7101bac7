/** `cxm deactivate FQDN`: on this node or the forced one. */
import { deactivateVm } from '../../cluster/activate.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const deactivate: CommandBody = async (context) => {
  const vm = context.operand(0);
  const node = context.ownNode;
  await deactivateVm(await context.open(), vm, node);
  context.answer(`The volumes of ${vm} are inactive on ${node}.`, { vm, node, active: false });
  return exitCodes.done;
};
