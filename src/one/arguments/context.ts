/**
 * The arguments of the TM action `context`: any number of sources, counted from the end. A
 * source is a file of the frontend or a URL, and may carry the name that it gets on the medium: `path:'name'`, where
 * versions before 5.10 lost the quotes to a shell and those from 5.10 on split a quoted name at its blanks.
 */
import { diskLocation, webAddress, type DiskLocation } from './locations.ts';
import { argumentsOf, transferUsage } from './usage.ts';
import { absolutePath, badValue, identifier } from './values.ts';

export interface ContextSource {
  readonly origin: { readonly kind: 'file'; readonly path: string } | { readonly kind: 'url'; readonly url: string };
  /** The file's name on the medium; one path step, not empty, at most 255 bytes. */
  readonly name: string;
}

export interface ContextCall {
  readonly vmId: number;
  readonly datastoreId: number;
  readonly sources: readonly ContextSource[];
  readonly destination: DiskLocation;
}

/** @throws CxmError USAGE, INVALID_INPUT; INVALID_INPUT also when two sources get the same name */
export function parseContext(argv: readonly string[]): ContextCall {
  const argument = argumentsOf('context', transferUsage.context, argv);
  const vmId = identifier(argument(-2), 'the VM id');
  const datastoreId = identifier(argument(-1), 'the datastore id');
  const destination = diskLocation(argument(-3), 'the destination of context', vmId);
  argument(-4);
  const sources: ContextSource[] = [];
  for (const word of joinQuoted(argv.slice(0, -3))) {
    const source = contextSource(word);
    if (sources.some((other) => other.name === source.name)) {
      throw badValue('a source of context', word, `a file with a name of its own, but ${source.name} comes twice`);
    }
    sources.push(source);
  }
  return { vmId, datastoreId, sources, destination };
}

/** Puts the pieces of `path:'my file'` together again. */
function joinQuoted(words: readonly string[]): string[] {
  const joined: string[] = [];
  let open: string | undefined;
  for (const word of words) {
    const whole: string = open === undefined ? word : `${open} ${word}`;
    open = whole.split("'").length % 2 === 0 ? whole : undefined;
    if (open === undefined) joined.push(whole);
  }
  if (open !== undefined) throw badValue('a source of context', open, "a path, a URL or PATH:'NAME'");
  return joined;
}

function contextSource(word: string): ContextSource {
  const what = 'a source of context';
  const named = /^(?:'([^']+)'|([^']+?)):'([^']*)'$/su.exec(word);
  const place = named === null ? word.replace(/^'([^']*)'$/su, '$1') : (named[1] ?? named[2] ?? '');
  if (/^https?:/.test(place)) {
    const url = webAddress(place, what);
    return { origin: { kind: 'url', url }, name: mediumName(named?.[3] ?? lastStep(new URL(url).pathname), word) };
  }
  const colon = place.indexOf(':');
  const name = named?.[3] ?? (colon < 0 ? undefined : place.slice(colon + 1));
  const path = absolutePath(named === null && colon >= 0 ? place.slice(0, colon) : place, what);
  return { origin: { kind: 'file', path }, name: mediumName(name ?? lastStep(path), word) };
}

function lastStep(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function mediumName(name: string, word: string): string {
  const fits = name !== '' && name !== '.' && name !== '..' && Buffer.byteLength(name) <= 255;
  if (fits && !/[\u0000-\u001f\u007f/]|\p{Surrogate}/u.test(name)) return name;
  throw badValue('a source of context', word, 'a file with a name of 1 to 255 bytes without slashes');
}
