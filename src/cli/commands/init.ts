/** `cxm init`: at boot, on this node alone. */
import { deactivateIdle } from '../../cluster/activate.ts';
import { plainError } from '../../cluster/survey.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const init: CommandBody = async (context) => {
  const { localName } = context.environment;
  const { deactivated, failures } = await deactivateIdle(await context.open([localName]), localName);
  for (const { vm, error } of failures) context.progress.note('WARN', `${vm}: ${error.message}`);
  const sentence =
    deactivated.length === 0
      ? `No volumes of idle VMs were active on ${localName}.`
      : `Deactivated on ${localName}: the volumes of ${deactivated.join(', ')}.`;
  const plain = failures.map(({ vm, error }) => ({ vm, error: plainError(error) }));
  context.answer(sentence, { node: localName, deactivated, failures: plain });
  return failures.length > 0 ? exitCodes.error : exitCodes.done;
};
