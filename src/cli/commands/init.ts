/** `cxm init`: at boot, for this node alone; the others are only asked what has become of its VMs. */
import { deactivateIdle } from '../../cluster/activate.ts';
import { removeOwnStrayLinks } from '../../cluster/stray-links.ts';
import { plainError } from '../../cluster/survey.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const init: CommandBody = async (context) => {
  const { localName } = context.environment;
  const cluster = await context.open();
  const { deactivated, failures } = await deactivateIdle(cluster, localName);
  for (const { vm, error } of failures) context.progress.note('WARN', `${vm}: ${error.message}`);
  const unlinked = await removeOwnStrayLinks(cluster, localName);
  const volumes =
    deactivated.length === 0
      ? `No volumes of idle VMs were active on ${localName}.`
      : `Deactivated on ${localName}: the volumes of ${deactivated.join(', ')}.`;
  const links =
    unlinked.length === 0 ? '' : ` Removed from ${localName}: the autostart links of ${unlinked.join(', ')}.`;
  const plain = failures.map(({ vm, error }) => ({ vm, error: plainError(error) }));
  context.answer(`${volumes}${links}`, { node: localName, deactivated, unlinked, failures: plain });
  return failures.length > 0 ? exitCodes.error : exitCodes.done;
};
