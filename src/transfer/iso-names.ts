/**
 * File names in ISO images. Names come from tenants: what a name can't hold is replaced, and names that would clash
 * after that get a number, so that every file stays reachable in each of the three name spaces. Pure.
 */

export interface IsoNames {
  /** Rock Ridge, what Linux shows: any text but '/' and control characters, at most 128 bytes of UTF-8. */
  readonly posix: string;
  /** Joliet, what Windows shows: at most 64 UTF-16 units. */
  readonly joliet: string;
  /** ISO 9660 level 1 with version: `CONTEXT.SH;1`. */
  readonly plain: string;
}

const posixBytes = 128;
const jolietUnits = 64;

/** Names for all files of one directory, in the order given. */
export function isoNames(wanted: readonly string[]): IsoNames[] {
  const taken = { posix: new Set<string>(), joliet: new Set<string>(), plain: new Set<string>() };
  return wanted.map((name) => {
    const posix = posixName(name);
    return {
      posix: unique(posix, taken.posix, (text) => shorten(text, (part) => Buffer.byteLength(part) <= posixBytes)),
      joliet: unique(
        posix.replace(/[*:;?\\]/g, '_'),
        taken.joliet,
        (text) => shorten(text, (part) => part.length <= jolietUnits),
        (text) => text.toLowerCase(),
      ),
      plain: plainName(name, taken.plain),
    };
  });
}

function posixName(name: string): string {
  // Lone surrogates have no UTF-8; control characters steer terminals; '/' parts directories.
  const safe = name.replace(/[\p{Cc}\p{Cs}/]/gu, '_');
  return /^\.{0,2}$/.test(safe) ? `file${safe.replaceAll('.', '_')}` : safe;
}

function plainName(name: string, taken: Set<string>): string {
  const upper = name.toUpperCase().replace(/[^A-Z0-9_.]/g, '_');
  const dot = upper.lastIndexOf('.');
  const stem = (dot < 1 ? upper : upper.slice(0, dot)).replaceAll('.', '_') || '_';
  const extension = dot < 1 ? '' : upper.slice(dot + 1, dot + 4);
  for (let count = 1; ; count++) {
    const number = count === 1 ? '' : String(count);
    const candidate = `${stem.slice(0, 8 - number.length)}${number}.${extension};1`;
    if (!taken.has(candidate)) {
      taken.add(candidate);
      return candidate;
    }
  }
}

function unique(
  name: string,
  taken: Set<string>,
  fit: (text: { readonly stem: string; readonly end: string }) => string,
  fold: (text: string) => string = (text) => text,
): string {
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 && name.length - dot <= 16 ? name.slice(dot) : '';
  const stem = name.slice(0, name.length - extension.length);
  for (let count = 1; ; count++) {
    const candidate = fit({ stem, end: count === 1 ? extension : `_${count}${extension}` });
    if (taken.has(fold(candidate))) continue;
    taken.add(fold(candidate));
    return candidate;
  }
}

function shorten(name: { readonly stem: string; readonly end: string }, fits: (text: string) => boolean): string {
  const characters = [...name.stem];
  while (characters.length > 0 && !fits(characters.join('') + name.end)) characters.pop();
  return characters.join('') + name.end;
}
