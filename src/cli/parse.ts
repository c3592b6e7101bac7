/**
 * From the words of a call to a subcommand with its operands and options. Options stand anywhere; subcommands and choices
 * may be abbreviated to a prefix that only one has. What is not understood is refused with what would be.
 */
import { Command, CommanderError, Option } from 'commander';
import { CxmError } from '../errors.ts';
import { nearWord } from '../near-word.ts';
import { nameFault } from '../xen/domain-name.ts';
import { commandNames, otherWords, specOf, usageOf, type CommandName, type OperandSpec } from './command-table.ts';
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
    const [about] = checkOperands(command, operands);
    return { kind: 'help', command: about === undefined ? undefined : findCommand(about), asked: true };
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
    throw wrongOption(error, argv);
  }
  const sources = Object.keys(optionTable).filter((name) => parser.getOptionValueSource(name) === 'cli');
  const values: Record<string, string | boolean> = parser.opts();
  return { words: parser.args, given: Object.fromEntries(sources.map((name) => [name, values[name] ?? false])) };
}

/** What commander does not understand, in our words. */
function wrongOption({ code, message }: CommanderError, argv: readonly string[]): CxmError {
  const about = argv.map(namedCommand).find((name) => name !== undefined);
  const hint = `see \`cxm ${about === undefined ? '' : `${about} `}--help\``;
  const all = (Object.keys(optionTable) as OptionName[]).map((name) => ({ name, ...wordsOfOption(name) }));
  if (code === 'commander.optionMissingArgument') {
    const lacking = all.find(({ name }) => message.includes(`'${optionTable[name].flags}'`));
    if (lacking !== undefined) return usage(`${lacking.words.at(-1) ?? ''} needs ${lacking.value ?? 'a value'}`, hint);
  }
  const [, word = ''] = /^error: unknown option '(.*)'/s.exec(message) ?? [];
  if (word === '') return usage(printable(message.replace(/^error: /, ''), 200), hint);
  const [flag = ''] = word.split('=');
  const words = all.flatMap((one) => one.words);
  if (flag !== word && words.includes(flag)) return usage(`${flag} takes no value`, hint);
  const near = nearWord(flag, words);
  const sentence = `unknown option '${printable(word, 100)}'`;
  return usage(sentence, near === undefined ? hint : `did you mean ${near}? ${hint} for all`);
}

function namedCommand(word: string): CommandName | undefined {
  const candidates = candidatesOf(word, commandNames);
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** @throws CxmError USAGE naming the candidates of an ambiguous prefix, or what may be meant */
export function findCommand(word: string): CommandName {
  const candidates = candidatesOf(word, commandNames);
  const [only, another] = candidates;
  if (only !== undefined && another === undefined) return only;
  const shown = `'${printable(word, 40)}'`;
  if (only !== undefined) throw usage(`${shown} may be ${listOf(candidates)}`, 'write more of it');
  const small = word.toLowerCase();
  const near = otherWords.get(small) ?? nearWord(small, commandNames);
  const all = '`cxm --help` has all of them';
  throw usage(`there is no subcommand ${shown}`, near === undefined ? all : `did you mean \`cxm ${near}\`? ${all}`);
}

/** The word itself, or all that begin with it. */
function candidatesOf<T extends string>(word: string, all: readonly T[]): readonly T[] {
  const exact = all.find((name) => name === word);
  if (exact !== undefined) return [exact];
  return word === '' ? [] : all.filter((name) => name.startsWith(word));
}

/** @throws CxmError USAGE naming what there is to choose from */
function choose<T extends string>(what: string, word: string, all: readonly T[], hint?: string): T {
  const [only, another] = candidatesOf(word, all);
  if (only !== undefined && another === undefined) return only;
  throw usage(`${what} takes ${listOf(all)}, not '${printable(word, 40)}'`, hint);
}

function requireOptions(command: CommandName, given: Given): void {
  const own: readonly OptionName[] = specOf(command).options ?? [];
  for (const name of Object.keys(given) as OptionName[]) {
    if ('general' in optionTable[name] || own.includes(name)) continue;
    const { words } = wordsOfOption(name);
    throw usage(`${command} takes no ${words.at(-1) ?? name}`, `see \`cxm ${command} --help\``);
  }
}

function checkOperands(command: CommandName, words: readonly string[]): readonly string[] {
  const operands = specOf(command).operands ?? [];
  const least = operands.filter(({ optional }) => optional !== true).length;
  const most = operands.some(({ many }) => many === true) ? Infinity : operands.length;
  const hint = `usage: cxm ${usageOf(command)}`;
  if (words.length < least) {
    const missing = operands.slice(words.length).map(({ name }) => name);
    throw usage(`${command} needs ${missing.join(' and ')}`, hint);
  }
  if (words.length > most) {
    throw usage(`${command} does not know what to do with '${printable(words[most] ?? '', 60)}'`, hint);
  }
  return words.map((word, index) => checkOperand(command, operands[Math.min(index, operands.length - 1)], word));
}

function checkOperand(command: CommandName, operand: OperandSpec | undefined, word: string): string {
  if (operand?.kind === 'choice') {
    return choose(command, word, operand.choices ?? [], `usage: cxm ${usageOf(command)}`);
  }
  if (operand?.kind === 'vm') {
    const fault = nameFault(word);
    if (fault !== undefined) throw usage(`'${printable(word, 100)}' is no name of a VM: ${fault}`, namesHint);
  }
  if (operand?.kind === 'node') checkNode(word);
  return word;
}

const namesHint = "`cxm search '*'` has the names of all VMs";

function checkNode(word: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$/.test(word)) return word;
  throw usage(`'${printable(word, 100)}' is no name of a node`, '`cxm infos` has the names of all nodes');
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
    sort: typeof given.sort === 'string' ? choose('--sort', given.sort, sortKeys) : undefined,
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
