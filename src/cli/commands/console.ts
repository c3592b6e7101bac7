/** `cxm console FQDN`: of a VM that runs on this node. */
import { CxmError } from '../../errors.ts';
import { runsHere } from '../../xen/domain-list.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const console: CommandBody = async (context) => {
  const vm = context.operand(0);
  const { localName } = context.environment;
  const cluster = await context.open([localName]);
  const row = await cluster.nodes[0]?.toolstack.find(vm);
  if (row === undefined || !runsHere(row)) {
    throw new CxmError('NOT_FOUND', `${vm} does not run on ${localName}`, {
      hint: `\`cxm search ${vm}\` tells where it runs: call cxm console there`,
    });
  }
  return (await context.environment.attachConsole(row.id)) === 0 ? exitCodes.done : exitCodes.error;
};
