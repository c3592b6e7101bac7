/** The options of cxm: one table from which parsing, help, manual and completion come. They stand anywhere in a call. */

import { sortKeys, type SortKey } from './top-view.ts';

export interface OptionSpec {
  /** As commander takes them. */
  readonly flags: string;
  readonly meaning: string;
  /** Every subcommand takes it. */
  readonly general?: true;
  /** What completes its value. */
  readonly value?: 'node' | 'nodes' | 'file' | 'number' | 'sortKey';
}

export const optionTable = {
  debug: { flags: '-d, --debug', meaning: 'Also print what lies behind an error.', general: true },
  quiet: {
    flags: '-q, --quiet',
    meaning: 'No questions (each counts as answered with yes), no progress and no warnings.',
    general: true,
  },
  nodes: {
    flags: '--nodes <NODE,...>',
    meaning:
      'Only these of ALLOWED_NODES are the cluster. Leave a node out only when it is certain that nothing runs there.',
    general: true,
    value: 'nodes',
  },
  refresh: {
    flags: '-n, --no-refresh',
    meaning:
      'Volumes that are active already are used as they are, not loaded anew from the metadata of LVM. Dangerous when another node has changed them: extended, moved.',
    general: true,
  },
  forceNode: {
    flags: '-f, --force-node <NODE>',
    meaning: 'This node, instead of the local one or the one that cxm would choose.',
    value: 'node',
  },
  console: { flags: '-c, --console', meaning: 'Attach the console afterwards; Ctrl-] leaves it.' },
  json: { flags: '--json', meaning: 'Print JSON, in the shapes that docs/cxm.md of the source tells.' },
  dryRun: { flags: '--dry-run', meaning: 'Print what would be done, step by step, and do nothing.' },
  state: {
    flags: '--state <FILE>',
    meaning: 'Plan for the cluster that the file describes, and do nothing.',
    value: 'file',
  },
  saveState: { flags: '--save-state <FILE>', meaning: 'Write what was measured to this file.', value: 'file' },
  yes: { flags: '-y, --yes', meaning: 'Do not ask.' },
  batch: { flags: '-b, --batch', meaning: 'Print tables one after the other, as without a terminal.' },
  iterations: { flags: '--iterations <N>', meaning: 'End after so many tables.', value: 'number' },
  interval: {
    flags: '--interval <SECONDS>',
    meaning: 'Time from one look to the next; 3 when left out.',
    value: 'number',
  },
  sort: { flags: '--sort <KEY>', meaning: `What VMs are sorted by: ${sortKeys.join(', ')}.`, value: 'sortKey' },
  help: { flags: '-h, --help', meaning: 'Print this help.', general: true },
  version: { flags: '--version', meaning: 'Print the version.', general: true },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export type OptionName = keyof typeof optionTable;

export interface CliOptions {
  readonly debug: boolean;
  readonly quiet: boolean;
  readonly nodes: readonly string[] | undefined;
  readonly refresh: boolean;
  readonly forceNode: string | undefined;
  readonly console: boolean;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly state: string | undefined;
  readonly saveState: string | undefined;
  readonly yes: boolean;
  readonly batch: boolean;
  readonly iterations: number | undefined;
  readonly interval: number | undefined;
  readonly sort: SortKey | undefined;
}

/** `-f, --force-node <HOST>` as its words. */
export function wordsOfOption(name: OptionName): { readonly words: readonly string[]; readonly value?: string } {
  const { flags } = optionTable[name];
  const [, value] = /<(.+)>/.exec(flags) ?? [];
  const words = flags.replace(/\s*<.+>/, '').split(', ');
  return value === undefined ? { words } : { words, value };
}
