/**
 * From the words of a call to a subcommand with its operands and options. Options stand anywhere; subcommands and choices
 * may be abbreviated to a prefix that only one has. What is not understood is refused with what would be.
 */
import { Command, CommanderError, Option } from 'commander';
import { CxmError } from '../errors.ts';
import { nameFault } from '../xen/domain-name.ts';
import { commandNames, specOf, usageOf, type CommandName, type OperandSpec } from './command-table.ts';
import { optionTable, wordsOfOption, type CliOptions, type OptionName } from './option-table.ts';
import { printable } from './printable.ts';
import { sortKeys } from './top-view.ts';

export type Call =
  | { readonly kind: 'help'; readonly command: CommandName | undefined; readonly asked: boolean }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'run';
      readonly command: Exclude<CommandName, 'help'>;
      readonly operands: readonly string[];
      readonly options: CliOptions;
    };

type Given = Readonly<Partial<Record<OptionName, string | boolean>>>;

/** @throws CxmError USAGE */
export function parseCall(argv: readonly string[]): Call {
  const { words, given } = split(argv);
  const [first, ...operands] = words;
  if (given.version === true) return { kind: 'version' };
  if (first === undefined) return { kind: 'help', command: undefined, asked: given.help === true };
  const command = findCommand(first);
  if (given.help === true) return { kind: 'help', command, asked: true };
  if (command === 'help') {
    return { kind: 'help', command: operands[0] === undefined ? undefined : findCommand(operands[0]), asked: true };
  }
  requireOptions(command, given);
  return { kind: 'run', command, operands: checkOperands(command, operands), options: optionsOf(given) };
}

function split(argv: readonly string[]): { words: readonly string[]; given: Given } {
  const parser = new Command('cxm')
    .exitOverride()
    .helpOption(false)
    .allowExcessArguments()
    .argument('[words...]')
    .configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
  for (const { flags, meaning } of Object.values(optionTable)) parser.addOption(new Option(flags, meaning));
  try {
    parser.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const [sentence = ''] = error.message.replace(/^error: /, '').split('\n');
    throw usage(printable(sentence, 200));
  }
  const sources = Object.keys(optionTable).filter((name) => parser.getOptionValueSource(name) === 'cli');
  const values: Record<string, string | boolean> = parser.opts();
  return { words: parser.args, given: Object.fromEntries(sources.map((name) => [name, values[name] ?? false])) };
}

/** @throws CxmError USAGE naming the candidates of an ambiguous prefix */
export function findCommand(word: string): CommandName {
  return expand(word, commandNames, 'subcommand');
}

function expand<T extends string>(word: string, all: readonly T[], what: string): T {
  const exact = all.find((name) => name === word);
  if (exact !== undefined) return exact;
  const candidates = word === '' ? [] : all.filter((name) => name.startsWith(word));
  const [only, another] = candidates;
  if (only !== undefined && another === undefined) return only;
  const shown = `'${printable(word, 40)}'`;
  if (only !== undefined) throw usage(`${shown} may be ${listOf(candidates)}`, 'write more of it');
  throw usage(`there is no ${what} ${shown}`, `there are ${all.join(', ')}`);
}

function requireOptions(command: CommandName, given: Given): void {
  const own: readonly OptionName[] = specOf(command).options ?? [];
  for (const name of Object.keys(given) as OptionName[]) {
    if ('general' in optionTable[name] || own.includes(name)) continue;
    const { words } = wordsOfOption(name);
    throw usage(`cxm ${command} takes no ${words.at(-1) ?? name}`, `see \`cxm ${command} --help\``);
  }
}

function checkOperands(command: CommandName, words: readonly string[]): readonly string[] {
  const operands = specOf(command).operands ?? [];
  const least = operands.filter(({ optional }) => optional !== true).length;
  const most = operands.some(({ many }) => many === true) ? Infinity : operands.length;
  const hint = `usage: cxm ${usageOf(command)}`;
  if (words.length < least) {
    const missing = operands.slice(words.length).map(({ name }) => name);
    throw usage(`cxm ${command} needs ${missing.join(' and ')}`, hint);
  }
  if (words.length > most) {
    throw usage(`cxm ${command} does not know what to do with '${printable(words[most] ?? '', 60)}'`, hint);
  }
  return words.map((word, index) => checkOperand(operands[Math.min(index, operands.length - 1)], word));
}

function checkOperand(operand: OperandSpec | undefined, word: string): string {
  if (operand?.kind === 'choice') return expand(word, operand.choices ?? [], 'choice');
  if (operand?.kind === 'vm') {
    const fault = nameFault(word);
    if (fault !== undefined) throw usage(`'${printable(word, 100)}' is no name of a VM: ${fault}`);
  }
  if (operand?.kind === 'node') checkNode(word);
  return word;
}

function checkNode(word: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/.test(word)) return word;
  throw usage(`'${printable(word, 100)}' is no name of a node`);
}

function optionsOf(given: Given): CliOptions {
  const nodes = typeof given.nodes === 'string' ? given.nodes.split(',').map(checkNode) : undefined;
  const doubled = nodes?.find((name, index) => nodes.indexOf(name) !== index);
  if (doubled !== undefined) throw usage(`--nodes names ${doubled} twice`);
  const forceNode = textOf(given.forceNode);
  const has = (name: OptionName): boolean => given[name] === true;
  return {
    debug: has('debug'),
    quiet: has('quiet'),
    nodes,
    refresh: given.refresh !== false,
    forceNode: forceNode === undefined ? undefined : checkNode(forceNode),
    console: has('console'),
    json: has('json'),
    dryRun: has('dryRun'),
    state: textOf(given.state),
    saveState: textOf(given.saveState),
    yes: has('yes'),
    batch: has('batch'),
    iterations: wholeNumber(given, 'iterations', 1_000_000),
    interval: wholeNumber(given, 'interval', 3600),
    sort: typeof given.sort === 'string' ? expand(given.sort, sortKeys, 'sort key') : undefined,
  };
}

function textOf(value: string | boolean | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function wholeNumber(given: Given, name: OptionName, most: number): number | undefined {
  const text = given[name];
  if (typeof text !== 'string') return undefined;
  const number = /^[0-9]{1,7}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= most) return number;
  throw usage(`--${name} is '${printable(text, 40)}', but must be a whole number from 1 to ${most}`);
}

function usage(sentence: string, hint = 'see `cxm --help`'): CxmError {
  return new CxmError('USAGE', sentence, { hint });
}

/** `a, b or c` */
function listOf(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
}
