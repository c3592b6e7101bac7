/** `cxm check-cpu`: nodes whose CPU flags differ from those of this one. */
import { compareCpus } from '../../cluster/check.ts';
import { nodeNamed } from '../../cluster/cluster.ts';
import { lookAt } from '../../cluster/survey.ts';
import { CxmError } from '../../errors.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { look, silentJson, tellSilent } from '../look.ts';

export const checkCpu: CommandBody = async (context) => {
  const cluster = await context.open();
  const reference = nodeNamed(cluster, context.ownNode).name;
  const { answers, silent } = await look(context, cluster, lookAt);
  const unheard = silent.find(({ node }) => node === reference);
  if (unheard !== undefined) {
    throw new CxmError('HOST_UNREACHABLE', `${reference} does not answer: ${unheard.error.message}`, {
      hint: 'compare with another node: --force-node',
      cause: unheard.error,
    });
  }
  const sights = answers.map(({ value }) => value);
  const differences = compareCpus(sights, reference);
  const { quiet, json } = context.options;
  if (json) context.json({ reference, differences, silent: silentJson(silent) });
  else {
    for (const { node, missing, additional } of differences) {
      const parts = [
        ...(missing.length > 0 ? [`lacks ${missing.join(' ')}`] : []),
        ...(additional.length > 0 ? [`has beyond ${reference}: ${additional.join(' ')}`] : []),
      ];
      context.print(`${node} ${parts.join('; ')}`);
    }
    const others = sights.filter(({ node }) => node !== reference).map(({ node }) => node);
    if (differences.length === 0 && !quiet && others.length > 0) {
      context.print(`The CPUs of ${others.join(', ')} have the same features as those of ${reference}.`);
    }
  }
  const code = tellSilent(context, silent);
  return differences.length > 0 ? exitCodes.refused : code;
};
