/** What `npm run bench` is asked to do: words of its command line, and how much work follows from them. Pure. */

export interface Options {
  /** Timed runs of each contestant. */
  readonly rounds: number;
  /** Small sizes, one round: says that everything works, not how fast it is. */
  readonly quick: boolean;
  /** Send the whole 8 GiB disk where otherwise a sample is sent. */
  readonly full: boolean;
  /** Exit code 1 when a target is missed. */
  readonly check: boolean;
  /** Write docs/benchmarks.md. */
  readonly write: boolean;
  /** A file for the rows with all samples. */
  readonly json: string | undefined;
  /** Only these parts. */
  readonly parts: readonly Part[];
  /** To which hosts disks travel. */
  readonly hosts: readonly HostId[];
}

export const parts = ['tar', 'raw', 'fetch', 'start'] as const;
export type Part = (typeof parts)[number];

/** hosts.ts says what they are. */
export const hostIds = ['loopback', 'lab'] as const;
export type HostId = (typeof hostIds)[number];

export const mib = 1024 * 1024;
export const gib = 1024 * mib;

/** How much is transferred, in bytes, and how often a program is started. */
export interface Sizes {
  /** Files of the archive image. */
  readonly tree: number;
  /** The disk that the archive is unpacked on. */
  readonly disk: number;
  /** Of that disk, what is really sent for the comparison with sending all of it; a divisor of `disk`. */
  readonly wholeSample: number;
  /** The raw image. */
  readonly raw: number;
  readonly starts: number;
}

export const usage = `npm run bench -- transfer [part...] [host...] [--quick] [--rounds N] [--full] [--check] [--write] [--json FILE]
parts: ${parts.join(', ')}; hosts: ${hostIds.join(', ')}; all when none is named`;

const flags = ['quick', 'full', 'check', 'write'] as const;

/** @throws Error with the usage */
export function parseOptions(words: readonly string[]): Options {
  const options = { quick: false, full: false, check: false, write: false };
  let rounds: number | undefined;
  let json: string | undefined;
  const chosen: Part[] = [];
  const hosts: HostId[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    const part = parts.find((known) => known === word);
    const host = hostIds.find((known) => known === word);
    const flag = flags.find((known) => `--${known}` === word);
    if (part !== undefined) chosen.push(part);
    else if (host !== undefined) hosts.push(host);
    else if (flag !== undefined) options[flag] = true;
    else if (word === '--rounds') rounds = positive(words[(at += 1)]);
    else if (word === '--json') json = words[(at += 1)];
    else throw new Error(usage);
  }
  if (options.quick && (options.write || options.full)) {
    throw new Error('--quick is for trying the benchmark: its figures say nothing, so not with --write or --full');
  }
  if (options.write && chosen.length + hosts.length > 0) {
    throw new Error('--write writes all parts on all hosts: name none');
  }
  return {
    ...options,
    rounds: rounds ?? (options.quick ? 1 : 3),
    json,
    parts: chosen.length > 0 ? chosen : parts,
    hosts: hosts.length > 0 ? hosts : hostIds,
  };
}

export function sizesOf({ quick, full }: Options): Sizes {
  if (quick) return { tree: 24 * mib, disk: gib, wholeSample: 128 * mib, raw: 256 * mib, starts: 5 };
  const disk = 8 * gib;
  return { tree: 200 * mib, disk, wholeSample: full ? disk : gib, raw: 2 * gib, starts: 20 };
}

/** `200 MiB`, `8 GiB`. */
export function describeBytes(bytes: number): string {
  return bytes % gib === 0 ? `${bytes / gib} GiB` : `${Math.round(bytes / mib)} MiB`;
}

function positive(word: string | undefined): number {
  const number = Number(word);
  if (Number.isSafeInteger(number) && number > 0 && number <= 100) return number;
  throw new Error(usage);
}
