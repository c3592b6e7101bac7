/**
 * Types of configuration values: how a value is read, what is allowed, and how that is said to a person. The schema
 * tables of cxmrc and cxm.conf are made of these, and example file, reference and validation come from them.
 */
import { isHostName } from '../host-name.ts';
import { parseSize, sizeSyntax } from './size.ts';
import type { RawValue } from './language.ts';

/** How a value is written where quotes matter. */
export type Literal = 'string' | 'number' | 'truth' | 'list';

export interface ValueType<T> {
  readonly literal: Literal;
  /** What is allowed, as half a sentence: `a number from 1 to 9`. */
  readonly allowed: string;
  /** The value, or undefined if the text is not allowed. */
  parse(raw: RawValue): T | undefined;
}

/** A string that matches; with `maxLength` 255. */
export function text(allowed: string, pattern: RegExp): ValueType<string> {
  return {
    literal: 'string',
    allowed,
    parse: (raw) => (typeof raw === 'string' && raw.length <= 255 && pattern.test(raw) ? raw : undefined),
  };
}

export function integer(min: number, max: number, unit = ''): ValueType<number> {
  return {
    literal: 'number',
    allowed: `a whole number from ${min} to ${max}${unit && ` (${unit})`}`,
    parse(raw) {
      if (typeof raw !== 'string' || !/^\d{1,12}$/.test(raw)) return undefined;
      const value = Number(raw);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** A number with up to three digits behind the point. */
export function decimal(min: number, max: number, unit = ''): ValueType<number> {
  return {
    literal: 'number',
    allowed: `a number from ${min} to ${max}${unit && ` (${unit})`}`,
    parse(raw) {
      if (typeof raw !== 'string' || !/^\d{1,12}(\.\d{1,3})?$/.test(raw)) return undefined;
      const value = Number(raw);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** One of some words, whatever their case; the value is the word as listed. */
export function oneOf<const W extends string>(words: readonly W[]): ValueType<W> {
  return {
    literal: 'string',
    allowed: `one of ${words.join(', ')}`,
    parse: (raw) => words.find((word) => typeof raw === 'string' && word.toLowerCase() === raw.toLowerCase()),
  };
}

export function flag(): ValueType<boolean> {
  return {
    literal: 'truth',
    allowed: 'yes or no',
    parse(raw) {
      if (typeof raw !== 'string') return undefined;
      if (/^(yes|true|on|1)$/i.test(raw)) return true;
      return /^(no|false|off|0|)$/i.test(raw) ? false : undefined;
    },
  };
}

/** True or False as Python writes them. */
export function truth(): ValueType<boolean> {
  return {
    literal: 'truth',
    allowed: 'True or False',
    parse: (raw) => (raw === 'True' ? true : raw === 'False' ? false : undefined),
  };
}

/** Bytes, from a size in LVM syntax. */
export function size(minBytes: number, maxBytes: number): ValueType<number> {
  return {
    literal: 'string',
    allowed: sizeSyntax,
    parse(raw) {
      try {
        const bytes = typeof raw === 'string' ? parseSize(raw, 'size') : 0;
        return bytes >= minBytes && bytes <= maxBytes ? bytes : undefined;
      } catch {
        return undefined;
      }
    },
  };
}

const pathPattern = /^\/[A-Za-z0-9_.+@/-]*$/;

function cleanPath(raw: string): string | undefined {
  if (raw.length > 255 || !pathPattern.test(raw) || raw.split('/').includes('..')) return undefined;
  return raw.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
}

/** An absolute path without `..`, returned without a trailing slash. */
export function path(): ValueType<string> {
  return {
    literal: 'string',
    allowed: 'an absolute path of letters, digits and _ . + @ - without ..',
    parse: (raw) => (typeof raw === 'string' ? cleanPath(raw) : undefined),
  };
}

/** An absolute path of a device node: names under /dev/disk/by-path have colons, commas and the like. */
export function devicePath(): ValueType<string> {
  return {
    literal: 'string',
    allowed: 'an absolute path of letters, digits and _ . + @ : , = - without ..',
    parse(raw) {
      if (typeof raw !== 'string' || raw.length > 255 || !/^\/[A-Za-z0-9_.+@:,=/-]*[^/]$/.test(raw)) return undefined;
      return raw.split('/').includes('..') ? undefined : raw.replace(/\/+/g, '/');
    },
  };
}

/** An absolute path that fits into the address of a unix socket: 108 bytes with the final zero on Linux. */
export function socketPath(): ValueType<string> {
  const { literal, allowed, parse } = path();
  return {
    literal,
    allowed: `${allowed} and of at most 107 characters`,
    parse(raw) {
      const value = parse(raw);
      return value !== undefined && value !== '/' && value.length <= 107 ? value : undefined;
    },
  };
}

/** Absolute paths with colons between them, as in the environment's PATH. */
export function searchPath(): ValueType<string> {
  return {
    literal: 'string',
    allowed: 'absolute paths without .., with : between them',
    parse(raw) {
      if (typeof raw !== 'string' || raw.length > 4096) return undefined;
      const directories = raw.split(':').map(cleanPath);
      return directories.every((directory) => directory !== undefined) ? directories.join(':') : undefined;
    },
  };
}

/** Words that match, in one string with blanks between them or as a list; may be empty. */
export function words(allowed: string, isAllowed: (word: string) => boolean): ValueType<readonly string[]> {
  return {
    literal: 'list',
    allowed: `words with blanks between them, each ${allowed}`,
    parse(raw) {
      const list = typeof raw === 'string' ? raw.split(/\s+/).filter((word) => word !== '') : raw;
      return list.length <= 1000 && list.every((word) => word.length <= 255 && isAllowed(word)) ? list : undefined;
    },
  };
}

/** Texts of several words each, with single blanks between them. @param allowed what each text is */
export function wordLists(
  allowed: string,
  minWords: number,
  isAllowed: (word: string) => boolean,
): ValueType<readonly string[]> {
  return {
    literal: 'list',
    allowed: `a list of texts, each ${allowed}`,
    parse(raw) {
      if (typeof raw === 'string' || raw.length > 10_000) return undefined;
      const lists = raw.map((item) => item.split(/\s+/).filter((word) => word !== ''));
      const areRight = lists.every(
        (list) => list.length >= minWords && list.every(isAllowed) && new Set(list).size === list.length,
      );
      return areRight ? lists.map((list) => list.join(' ')) : undefined;
    },
  };
}

/** Absolute paths as `words`. */
export function paths(): ValueType<readonly string[]> {
  return words('an absolute path without ..', (word) => cleanPath(word) === word);
}

/** Names of hosts, each once, in the order in which they stand. */
export function hostNames(): ValueType<readonly string[]> {
  return {
    literal: 'list',
    allowed: 'a list of host names, each once',
    parse(raw) {
      if (typeof raw === 'string' || raw.length > 1000 || !raw.every(isHostName)) return undefined;
      return new Set(raw.map((name) => name.toLowerCase())).size === raw.length ? raw : undefined;
    },
  };
}

/** Texts that match, each once, in the order in which they stand. */
export function texts(allowed: string, isAllowed: (text: string) => boolean): ValueType<readonly string[]> {
  return {
    literal: 'list',
    allowed: `a list, each ${allowed}`,
    parse(raw) {
      if (typeof raw === 'string' || raw.length > 1000 || !raw.every((one) => one.length <= 255 && isAllowed(one))) {
        return undefined;
      }
      return new Set(raw).size === raw.length ? raw : undefined;
    },
  };
}

const ipv4Pattern = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

export function isIpv4(text: string): boolean {
  return ipv4Pattern.test(text);
}

/** A program: an absolute path, or a name that is looked up in PATH. */
export function program(): ValueType<string> {
  return {
    literal: 'string',
    allowed: 'the name of a program or its absolute path, without arguments',
    parse(raw) {
      if (typeof raw !== 'string') return undefined;
      return /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}$/.test(raw) ? raw : cleanPath(raw);
    },
  };
}
