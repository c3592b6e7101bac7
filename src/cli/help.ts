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
  const notes = [
    'FQDN is the name of a VM: that of its configuration file in VMCONF_DIR, without .cfg.',
    'Options may stand anywhere. Subcommands may be abbreviated, as in `cxm mig`.',
    '`cxm SUBCOMMAND --help` has its options and examples, `man cxm` all of them.',
  ];
  lines.push(...notes.flatMap((note) => wrap(note, width)), '');
  return lines.join('\n');
}

/** `cxm migrate --help` */
export function renderCommandHelp(name: CommandName, style: Style): string {
  const width = Math.min(widest, style.width);
  const { summary, description, examples, options = [] } = specOf(name);
  const lines = [`${style.paint('bold', `cxm ${name}`)}: ${summary}`, ''];
  lines.push(`Usage: cxm ${usageOf(name)} [OPTIONS]`, '');
  for (const paragraph of description) lines.push(...wrap(paragraph, width), '');
  if (options.length > 0) lines.push(style.paint('bold', 'Options'), ...optionLines(options, width), '');
  lines.push(style.paint('bold', 'Options of all subcommands'), ...optionLines(generalOptions(), width), '');
  lines.push(style.paint('bold', 'Examples'));
  const column = Math.max(...examples.map(({ line }) => line.length)) + 6;
  for (const { line, meaning } of examples) lines.push(...entry(line, meaning, column, Math.max(width, column + 30)));
  lines.push('', ...exitLines(exitMeanings, style, width));
  return `${lines.join('\n')}\n`;
}

/** The section of the exit codes. */
export function exitLines(meanings: typeof exitMeanings, style: Style, width: number): string[] {
  const codes = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  const lines = codes.flatMap((key) => entry(String(exitCodes[key]), meanings[key], 5, width));
  return [style.paint('bold', 'Exit codes'), ...lines];
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
