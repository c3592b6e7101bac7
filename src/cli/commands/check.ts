/** `cxm check`: what is wrong, a line a finding, errors first. */
import { findProblems } from '../../cluster/check.ts';
import { lookAt } from '../../cluster/survey.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { look, silentJson, tellSilent } from '../look.ts';
import type { Cell } from '../table.ts';
import { count } from '../words.ts';

export const check: CommandBody = async (context) => {
  const cluster = await context.open();
  const { answers, silent } = await look(context, cluster, async (node) => {
    const [sight, configs] = await Promise.all([lookAt(node), node.files.readConfigs()]);
    return { sight, configs };
  });
  const problems = findProblems(answers.map(({ value }) => value));
  const findings = ['error', 'warning'].flatMap((severity) => problems.filter((one) => one.severity === severity));
  if (context.options.json) {
    context.json({ findings, silent: silentJson(silent) });
  } else if (findings.length > 0) {
    const columns = ['SEVERITY', 'KIND', 'FINDING'].map((title) => ({ title }));
    const rows = findings.map(({ severity, kind, text }): Cell[] => [
      { text: severity, colour: severity === 'error' ? 'red' : 'yellow' },
      kind,
      text,
    ]);
    context.table(columns, rows);
  } else if (!context.options.quiet) {
    const vms = new Set(answers.flatMap(({ value }) => value.configs.map(({ vm }) => vm))).size;
    context.print(`No problems on ${answers.map(({ node }) => node).join(', ')} with ${count(vms, 'configured VM')}.`);
  }
  const code = tellSilent(context, silent);
  return findings.length > 0 ? exitCodes.refused : code;
};
