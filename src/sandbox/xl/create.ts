/**
 * `xl create`: reads the configuration, then makes the domain or, with -n, shows what libxl would be given. `KEY=VALUE`
 * arguments are added to the configuration as further lines, as real xl does.
 */
import { readFileSync } from 'node:fs';
import { buildDomain, freshGuest } from './build.ts';
import { readSettings } from './configuration.ts';
import { parseArguments, XlFailure } from './context.ts';
import type { Command } from './context.ts';
import { configurationOf } from './lists.ts';

export const create: Command = async (context, args) => {
  const { options, operands } = parseArguments(args, ['p', 'q', 'n', 'e', 'F', 'f:', 'quiet', 'dryrun', 'defconfig:']);
  const settingLines = operands.filter((operand) => operand.includes('=') && !operand.startsWith('/'));
  const path =
    options.get('f') ?? options.get('defconfig') ?? operands.find((operand) => !settingLines.includes(operand));
  let text: string;
  try {
    text = readFileSync(path ?? '', 'utf8');
  } catch {
    throw new XlFailure(3, `Failed to read config file: ${path ?? ''}: No such file or directory`);
  }
  if (!options.has('q') && !options.has('quiet')) context.say(`Parsing config from ${path ?? ''}`);
  const bridge = context.store.host.bridges[0] ?? 'xenbr0';
  const settings = readSettings([text, ...settingLines].join('\n'), path ?? '', bridge, context.say);
  if (options.has('n') || options.has('dryrun')) {
    context.out(`${JSON.stringify(configurationOf(settings), null, 4)}\n`);
    return 0;
  }
  const { createMs, createFails } = context.store.knobs;
  if (createFails !== '') throw new XlFailure(3, ...createFails.split('\n'));
  await buildDomain(context, settings, {
    durationMs: createMs,
    paused: options.has('p'),
    monitored: !options.has('e'),
    guest: freshGuest(),
  });
  return 0;
};
