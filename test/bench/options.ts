/** What `npm run bench` is asked to do: words of its command line. Pure. */

export interface Options {
  /** Timed runs of each contestant. */
  readonly rounds: number;
  /** Send the whole 8 GiB disk where otherwise a sample is sent. */
  readonly full: boolean;
  /** Exit code 1 when a target is missed. */
  readonly check: boolean;
  /** Write docs/benchmarks.md. */
  readonly write: boolean;
  /** A file for the rows with all samples. */
  readonly json: string | undefined;
  /** Only these parts; all when empty. */
  readonly parts: readonly Part[];
}

export const parts = ['tar', 'raw', 'fetch', 'start'] as const;
export type Part = (typeof parts)[number];

export const usage = `npm run bench -- transfer [part...] [--rounds N] [--full] [--check] [--write] [--json FILE]
parts: ${parts.join(', ')}`;

/** @throws Error with the usage */
export function parseOptions(words: readonly string[]): Options {
  const [suite, ...rest] = words;
  if (suite !== 'transfer') throw new Error(usage);
  const options = { rounds: 3, full: false, check: false, write: false, json: undefined as string | undefined };
  const chosen: Part[] = [];
  for (let at = 0; at < rest.length; at += 1) {
    const word = rest[at] ?? '';
    const part = parts.find((known) => known === word);
    if (part !== undefined) chosen.push(part);
    else if (word === '--full' || word === '--check' || word === '--write') options[flagNames[word]] = true;
    else if (word === '--rounds') options.rounds = positive(rest[(at += 1)]);
    else if (word === '--json') options.json = rest[(at += 1)];
    else throw new Error(usage);
  }
  return { ...options, parts: chosen.length > 0 ? chosen : parts };
}

const flagNames = { '--full': 'full', '--check': 'check', '--write': 'write' } as const;

function positive(word: string | undefined): number {
  const number = Number(word);
  if (Number.isSafeInteger(number) && number > 0 && number <= 100) return number;
  throw new Error(usage);
}
