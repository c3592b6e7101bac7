/** `cxm destroy FQDN`: asks first, and says on which node. */
import { findVm } from '../../cluster/locate.ts';
import { destroyVm } from '../../cluster/stop.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const destroy: CommandBody = async (context) => {
  const vm = context.operand(0);
  const cluster = await context.open();
  const { running } = await findVm(cluster, vm);
  const [place] = running;
  // Of several or none destroyVm tells what is wrong; then there is nothing to ask.
  if (place !== undefined && running.length === 1) {
    await context.confirm(
      `Destroy ${vm} on ${place.node}? The guest is not asked, and what it has not written is lost.`,
    );
  }
  const { node } = await destroyVm(cluster, vm);
  context.answer(`${vm} is destroyed on ${node}.`, { vm, node, ended: 'destroyed' });
  return exitCodes.done;
};
