/**
 * What every command of the simulated xl gets, and the way it fails: an XlFailure carries the lines that real xl writes to
 * standard error and its exit code.
 */
import type { SimulatedDomain } from './domain.ts';
import type { Store } from './store.ts';

export interface Context {
  readonly store: Store;
  readonly out: (text: string) => void;
  /** One line to standard error. */
  readonly say: (line: string) => void;
}

export type Command = (context: Context, args: readonly string[]) => Promise<number> | number;

export class XlFailure extends Error {
  readonly lines: readonly string[];
  readonly exitCode: number;

  constructor(exitCode: number, ...lines: readonly string[]) {
    super(lines.join('\n'));
    this.exitCode = exitCode;
    this.lines = lines;
  }
}

/** Options before the operands, as getopt takes them: `-w`, `-pe`, `-s VALUE`, `--live`. */
export interface Arguments {
  readonly options: ReadonlyMap<string, string>;
  readonly operands: readonly string[];
}

/**
 * @param known the option letters and long names without dashes; a `:` after a letter says that a value follows
 */
export function parseArguments(args: readonly string[], known: readonly string[]): Arguments {
  const options = new Map<string, string>();
  const operands: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? '';
    if (word === '--') {
      operands.push(...args.slice(index + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      continue;
    }
    const names = word.startsWith('--') ? [word.slice(2)] : [...word.slice(1)];
    for (const name of names) {
      if (known.includes(`${name}:`)) options.set(name, args[++index] ?? '');
      else if (known.includes(name)) options.set(name, '');
      else throw new XlFailure(2, `option \`${name}' not supported.`);
    }
  }
  return { options, operands };
}

/** A domain by id (digits) or name; domain 0 is not among them. @throws XlFailure as xl words it */
export function findDomain(context: Context, reference: string | undefined, suffix = ' (rc=-6)'): SimulatedDomain {
  const domains = context.store.domains();
  const found = /^\d+$/.test(reference ?? '')
    ? domains.find((domain) => domain.id === Number(reference))
    : domains.find((domain) => domain.name === reference);
  if (found === undefined) throw new XlFailure(1, `${reference ?? ''} is an invalid domain identifier${suffix}`);
  return found;
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
