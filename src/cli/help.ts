/** Help texts, made of the tables of commands and options. */
import { commandNames, specOf, usageOf, type CommandName } from './command-table.ts';
import { exitCodes, exitMeanings } from './exit-codes.ts';
import { optionTable, wordsOfOption, type OptionName } from './option-table.ts';
import type { Style } from './style.ts';

const widest = 100;

/** `cxm --help` */
export function renderHelp(style: Style): string {
  const width = Math.min(widest, style.width);
  const column = Math.max(...commandNames.map((name) => usageOf(name).length)) + 4;
  const lines = [`${style.paint('bold', 'cxm')}: run a cluster of Xen servers from any of its nodes`, ''];
  lines.push('Usage: cxm SUBCOMMAND [ARGUMENTS] [OPTIONS]', '');
  const groups = [...new Set(commandNames.map((name) => specOf(name).group))];
  for (const group of groups) {
    lines.push(style.paint('bold', group));
    for (const name of commandNames.filter((one) => specOf(one).group === group)) {
      lines.push(...entry(usageOf(name), specOf(name).summary, column, width));
    }
    lines.push('');
  }
  lines.push(style.paint('bold', 'Options of all subcommands'), ...optionLines(generalOptions(), width), '');
  lines.push('FQDN is the name of a VM: that of its configuration file in VMCONF_DIR, without .cfg.');
  lines.push('Options stand anywhere. Subcommands may be abbreviated, as in `cxm mig`.');
  lines.push('`cxm SUBCOMMAND --help` has the rest, with examples.', '');
  return lines.join('\n');
}

/** `cxm migrate --help` */
export function renderCommandHelp(name: CommandName, style: Style): string {
  const width = Math.min(widest, style.width);
  const { summary, description, examples, options = [] } = specOf(name);
  const lines = [`${style.paint('bold', `cxm ${usageOf(name)}`)}: ${summary}`, ''];
  for (const paragraph of description) lines.push(...wrap(paragraph, width), '');
  if (options.length > 0) lines.push(style.paint('bold', 'Options'), ...optionLines(options, width), '');
  lines.push(style.paint('bold', 'Options of all subcommands'), ...optionLines(generalOptions(), width), '');
  lines.push(style.paint('bold', 'Examples'));
  const column = Math.max(...examples.map(({ line }) => line.length)) + 6;
  for (const { line, meaning } of examples) lines.push(...entry(line, meaning, column, Math.max(width, column + 30)));
  lines.push('', style.paint('bold', 'Exit codes'));
  for (const [key, meaning] of Object.entries(exitMeanings)) {
    lines.push(...entry(String(exitCodes[key as keyof typeof exitCodes]), meaning, 5, width));
  }
  return `${lines.join('\n')}\n`;
}

export function generalOptions(): readonly OptionName[] {
  return (Object.keys(optionTable) as OptionName[]).filter((name) => 'general' in optionTable[name]);
}

function optionLines(names: readonly OptionName[], width: number): string[] {
  const labels = names.map((name) => {
    const { words, value } = wordsOfOption(name);
    const text = words.length > 1 ? words.join(', ') : `    ${words.join()}`;
    return value === undefined ? text : `${text} ${value}`;
  });
  const column = Math.max(...labels.map((label) => label.length)) + 4;
  return names.flatMap((name, index) => entry(labels[index] ?? '', optionTable[name].meaning, column, width));
}

/** `  label     text`, the text wrapped in its column. */
export function entry(label: string, text: string, column: number, width: number): string[] {
  const [first = '', ...more] = wrap(text, Math.max(20, width - column));
  return [`  ${label}`.padEnd(column) + first, ...more.map((line) => ' '.repeat(column) + line)].map((line) =>
    line.trimEnd(),
  );
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
