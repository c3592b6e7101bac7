/** `cxm search PATTERN`: configurations by their names, with where their VMs run and start. */
import type { ClusterNode } from '../../cluster/node.ts';
import { whereabouts } from '../../cluster/survey.ts';
import { wordsOf } from '../../cluster/locate.ts';
import { CxmError } from '../../errors.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { matchesGlob } from '../glob.ts';
import { look, silentJson, tellSilent } from '../look.ts';
import type { Cell } from '../table.ts';

interface Found {
  readonly vm: string;
  readonly configuredOn: readonly string[];
  readonly runsOn: readonly string[];
  readonly traces: readonly { readonly node: string; readonly what: string }[];
  readonly linkedOn: readonly string[];
}

export const search: CommandBody = async (context) => {
  const pattern = context.operand(0);
  const cluster = await context.open();
  const { answers, silent } = await look(context, cluster, askNode);
  const nodes = answers.map(({ node, value }) => ({ node, ...value }));
  const names = [...new Set(nodes.flatMap(({ configs }) => configs))].filter((vm) => matchesGlob(vm, pattern)).sort();
  const found = names.map((vm): Found => {
    const { running, traces } = whereabouts(nodes, vm);
    return {
      vm,
      configuredOn: nodes.filter(({ configs }) => configs.includes(vm)).map(({ node }) => node),
      runsOn: running.map(({ node }) => node),
      traces: traces.map(({ node, row }) => ({ node, what: wordsOf(row) })),
      linkedOn: nodes.filter(({ links }) => links.has(vm)).map(({ node }) => node),
    };
  });
  const several = found.filter(({ runsOn }) => runsOn.length > 1);
  if (context.options.json) context.json({ vms: found, silent: silentJson(silent) });
  else if (context.options.quiet) for (const { vm } of found) context.print(vm);
  else if (found.length > 0) {
    context.table(
      ['VM', 'RUNS ON', 'STARTS ON', 'CONFIGURED ON'].map((title) => ({ title })),
      found.map(rowOf),
    );
  }
  for (const { vm, runsOn } of several) {
    context.progress.note('WARN', `${vm} RUNS ON SEVERAL NODES: ${runsOn.join(', ')}. This ruins its disks.`);
  }
  const code = tellSilent(context, silent);
  if (found.length === 0) throw notFound(pattern, silent.length);
  return several.length > 0 ? exitCodes.refused : code;
};

async function askNode({ toolstack, files }: ClusterNode) {
  const [rows, configs, links] = await Promise.all([toolstack.list(), files.readConfigs(), files.links()]);
  return { rows, configs: configs.map(({ vm }) => vm), links };
}

function rowOf({ vm, configuredOn, runsOn, traces, linkedOn }: Found): Cell[] {
  const places = [...runsOn, ...traces.map(({ node, what }) => `${node} (${what})`)].join(', ');
  const runs: Cell = runsOn.length > 1 ? { text: places, colour: 'red' } : places || '-';
  return [vm, runs, linkedOn.join(', ') || '-', configuredOn.join(', ')];
}

function notFound(pattern: string, silent: number): CxmError {
  const hint = /[*?[]/.test(pattern) ? 'names are compared as a whole' : `try \`cxm search '*${pattern}*'\``;
  const beside = silent > 0 ? ' that answers' : '';
  return new CxmError('NOT_FOUND', `no node${beside} has a configuration of ${pattern}`, { hint });
}
