/** The manual pages as roff, made of the tables of commands, options, events and configuration keys. Pure. */
import { cxmConfTable } from '../config/cxm-conf.ts';
import { allowedLiteral } from '../config/load.ts';
import type { KeySchema } from '../config/schema.ts';
import { eventKinds } from '../ha/daemon/log.ts';
import { commandNames, specOf, usageOf, type CommandName } from './command-table.ts';
import { exitCodes, exitMeanings } from './exit-codes.ts';
import { wordsOfModifier } from './ctl/help.ts';
import {
  ctlActionNames,
  ctlDescription,
  ctlExamples,
  ctlExitMeanings,
  ctlModifiers,
  meaningOfAction,
  usageOfAction,
  type CtlModifier,
} from './ctl/table.ts';
import { generalOptions } from './help.ts';
import { optionTable, wordsOfOption, type OptionName } from './option-table.ts';

export function renderCxmPage(version: string): string {
  const own = (Object.keys(optionTable) as OptionName[]).filter((name) => !generalOptions().includes(name));
  const groups = [...new Set(commandNames.map((name) => specOf(name).group))];
  const lines = [
    header('CXM', '1', version),
    '.SH NAME',
    'cxm \\- run a cluster of Xen servers from any of its nodes',
    '.SH SYNOPSIS',
    '.B cxm',
    '.I SUBCOMMAND',
    '.RI [ ARGUMENTS ]',
    '.RI [ OPTIONS ]',
    '.SH DESCRIPTION',
    ...paragraphs([
      'A cluster is a number of Xen servers whose VMs have logical volumes on a SAN as their disks. cxm starts, moves and ends VMs on any of them, finds what is wrong, and evens out the load. It may be called on every node.',
      'A VM is called by its FQDN, the name of its configuration file in VMCONF_DIR without .cfg. Before a VM starts, its volumes are made inactive on every other node; a VM that is on any node, in whatever state, is not started. What would change something is refused while a node of the cluster is silent, since nobody knows what runs there.',
      'Options may stand anywhere. Subcommands may be abbreviated to a prefix that only one has.',
    ]),
    '.SH SUBCOMMANDS',
    ...groups.flatMap((group) => [
      `.SS ${quoted(group)}`,
      ...commandNames.filter((name) => specOf(name).group === group).flatMap(commandLines),
    ]),
    '.SH OPTIONS',
    'Every subcommand takes these:',
    ...generalOptions().flatMap(optionLines),
    '.PP',
    'Some take these:',
    ...own.flatMap(optionLines),
    '.SH EXIT STATUS',
    ...exitTerms(exitMeanings),
    '.SH ENVIRONMENT',
    ...term('CXM_CONF', 'Another configuration file than /etc/xen/cxm.conf.'),
    ...term('NO_COLOR', 'When set to anything, there are no colours, not even on a terminal.'),
    '.SH FILES',
    ...term('/etc/xen/cxm.conf', 'The configuration of the cluster, the same on all nodes.'),
    ...term('/etc/xen/vm/', 'The configurations of the VMs (VMCONF_DIR).'),
    ...term('/etc/xen/auto/', 'The autostart links (AUTO_DIR).'),
    '.SH SEE ALSO',
    '.BR cxm.conf (5),',
    '.BR cxmd (8),',
    '.BR cxmd_ctl (8),',
    '.BR xl (1),',
    '.BR lvm (8)',
  ];
  return `${lines.join('\n')}\n`;
}

export function renderCtlPage(version: string): string {
  const lines = [
    header('CXMD_CTL', '8', version),
    '.SH NAME',
    'cxmd_ctl \\- ask cxmd of this node, or give it an order',
    '.SH SYNOPSIS',
    '.B cxmd_ctl',
    '.I ACTION',
    '.RI [ OPTIONS ]',
    '.SH DESCRIPTION',
    ...paragraphs([ctlDescription]),
    '.SH ACTIONS',
    'Exactly one:',
    ...ctlActionNames.flatMap((name) => ['.TP', `.B ${escape(usageOfAction(name))}`, text(meaningOfAction(name))]),
    '.SH OPTIONS',
    ...(Object.keys(ctlModifiers) as CtlModifier[]).flatMap((name) =>
      term(wordsOfModifier(name), ctlModifiers[name].meaning),
    ),
    '.SH EXIT STATUS',
    ...exitTerms(ctlExitMeanings),
    '.SH EXAMPLES',
    ...ctlExamples.flatMap(({ line, meaning }) => term(line, meaning)),
    '.SH SEE ALSO',
    '.BR cxmd (8),',
    '.BR cxm (1),',
    '.BR cxm.conf (5)',
  ];
  return `${lines.join('\n')}\n`;
}

export function renderDaemonPage(version: string): string {
  const lines = [
    header('CXMD', '8', version),
    '.SH NAME',
    'cxmd \\- keeps a cluster of Xen servers together',
    '.SH SYNOPSIS',
    '.B cxmd',
    '.SH DESCRIPTION',
    ...paragraphs([
      'One runs on every node. They see each other on the network and on a small device of the SAN, the heartbeat disk; one of them is master. When a node is lost on both, and none of its VMs answers, the master powers it off and starts its VMs elsewhere. In doubt it does nothing and calls a person: panic.',
      'It is configured in cxm.conf, runs in the foreground as systemd wants it, and takes no arguments. Whoever wants something of it calls cxmd_ctl.',
      'Each line that it logs begins with CXM and a number that says what kind of event it is.',
    ]),
    '.SH SIGNALS',
    ...term(
      'SIGHUP',
      'Reads cxm.conf and the key of the cluster again. What can not change while it runs is named in the log.',
    ),
    ...term('SIGTERM, SIGINT', 'Leaves the cluster and ends. VMs run on.'),
    '.SH EVENTS',
    ...Object.values(eventKinds).flatMap(({ id, priority, meaning }) =>
      term(`CXM${String(id).padStart(3, '0')}`, `${meaning} (${priority}).`),
    ),
    '.SH EXIT STATUS',
    ...term('0', 'It has left the cluster.'),
    ...term('1', 'A failure; systemd starts it again.'),
    ...term('3', 'A configuration that can not be used, or the cluster does not let this node in for good.'),
    ...term('4', 'The node was taken out of the cluster.'),
    '.SH SEE ALSO',
    '.BR cxmd_ctl (8),',
    '.BR cxm.conf (5),',
    '.BR cxm (1)',
  ];
  return `${lines.join('\n')}\n`;
}

export function renderCxmConfPage(version: string): string {
  const entries = Object.entries(cxmConfTable.keys) as [string, KeySchema<unknown>][];
  const groups = [...new Set(entries.map(([, { group }]) => group))];
  const lines = [
    header('CXM.CONF', '5', version),
    '.SH NAME',
    'cxm.conf \\- configuration of a cluster of Xen servers',
    '.SH DESCRIPTION',
    ...paragraphs([
      '/etc/xen/cxm.conf is the same on every node. KEY = value, one a line; text in either quotes, numbers, True or False, lists of text in brackets, over several lines if need be; # begins a comment. It looks like Python, but is read, never executed. A key that does not exist, a wrong type or a value that is not allowed stops every program with file, line and key; `cxm config check` says so beforehand.',
    ]),
  ];
  for (const group of groups) {
    lines.push(`.SH ${quoted(group.toUpperCase())}`);
    for (const [key, { fallback, meaning, type }] of entries.filter(([, schema]) => schema.group === group)) {
      lines.push('.TP', `.BR ${key} " (default " ${quoted(fallback ?? 'none, must be set')} )`, text(meaning), '.IP');
      lines.push(text(`Allowed: ${allowedLiteral(type as KeySchema<unknown>['type'], fallback === 'None')}.`));
    }
  }
  lines.push('.SH SEE ALSO', '.BR cxm (1),', '.BR cxmd (8)');
  return `${lines.join('\n')}\n`;
}

/** No date: a build of the same source is the same. */
function header(title: string, section: string, version: string): string {
  return `.TH ${title} ${section} "" ${quoted(`cxm ${version}`)}`;
}

function exitTerms(meanings: typeof exitMeanings): string[] {
  const keys = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  return keys.flatMap((key) => term(String(exitCodes[key]), `${capital(meanings[key])}.`));
}

function capital(sentence: string): string {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}

function commandLines(name: CommandName): string[] {
  const { summary, description, options = [], examples } = specOf(name);
  const [command = '', ...operands] = usageOf(name).split(' ');
  const words = [`\\fB${escape(command)}\\fR`, ...operands.map((word) => `\\fI${escape(word)}\\fR`)];
  const flags = (options as readonly OptionName[]).map((option) => `[${flagOf(option)}]`);
  const lines = ['.TP', [...words, ...flags].join(' ')];
  for (const paragraph of [`${capital(summary)}.`, ...description]) lines.push(text(paragraph), '.IP');
  lines.push('.nf');
  const width = Math.max(...examples.map(({ line }) => line.length)) + 3;
  for (const { line, meaning } of examples) {
    lines.push(`\\fB${text(line)}\\fR${meaning === '' ? '' : ' '.repeat(width - line.length) + escape(meaning)}`);
  }
  return [...lines, '.fi'];
}

function optionLines(name: OptionName): string[] {
  const { words, value } = wordsOfOption(name);
  const shown = words.map((word) => `\\fB${escape(word)}\\fR`).join(', ');
  return ['.TP', value === undefined ? shown : `${shown} \\fI${escape(value)}\\fR`, text(optionTable[name].meaning)];
}

function flagOf(name: OptionName): string {
  const { words, value } = wordsOfOption(name);
  const flag = `\\fB${escape(words.at(-1) ?? '')}\\fR`;
  return value === undefined ? flag : `${flag} \\fI${escape(value)}\\fR`;
}

function term(name: string, meaning: string): string[] {
  return ['.TP', `.B ${escape(name)}`, text(meaning)];
}

function paragraphs(all: readonly string[]): string[] {
  return all.flatMap((paragraph) => ['.PP', text(paragraph)]);
}

/** A line of text can't begin as a request does. */
function text(line: string): string {
  const escaped = escape(line);
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

function escape(words: string): string {
  return words.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq').replaceAll('`', '\\(ga');
}

/** An argument of a request. */
function quoted(words: string): string {
  return `"${escape(words).replaceAll('"', '\\(dq')}"`;
}
