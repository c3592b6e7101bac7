/**
 * Types of configuration values: how a value is read, what is allowed, and how that is said to a person. The schema
 * tables of cxmrc (and later cxm.conf) are made of these, and example file, reference and validation come from them.
 */
import { parseSize, sizeSyntax } from './size.ts';
import type { RawValue } from './language.ts';

export interface ValueType<T> {
  /** What is allowed, as half a sentence: `a number from 1 to 9`. */
  readonly allowed: string;
  /** The value, or undefined if the text is not allowed. */
  parse(raw: RawValue): T | undefined;
}

/** A string that matches; with `maxLength` 255. */
export function text(allowed: string, pattern: RegExp): ValueType<string> {
  return {
    allowed,
    parse: (raw) => (typeof raw === 'string' && raw.length <= 255 && pattern.test(raw) ? raw : undefined),
  };
}

export function integer(min: number, max: number, unit = ''): ValueType<number> {
  return {
    allowed: `a whole number from ${min} to ${max}${unit && ` (${unit})`}`,
    parse(raw) {
      if (typeof raw !== 'string' || !/^\d{1,12}$/.test(raw)) return undefined;
      const value = Number(raw);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** One of some words, whatever their case; the value is the word as listed. */
export function oneOf<const W extends string>(words: readonly W[]): ValueType<W> {
  return {
    allowed: `one of ${words.join(', ')}`,
    parse: (raw) => words.find((word) => typeof raw === 'string' && word.toLowerCase() === raw.toLowerCase()),
  };
}

export function flag(): ValueType<boolean> {
  return {
    allowed: 'yes or no',
    parse(raw) {
      if (typeof raw !== 'string') return undefined;
      if (/^(yes|true|on|1)$/i.test(raw)) return true;
      return /^(no|false|off|0|)$/i.test(raw) ? false : undefined;
    },
  };
}

/** Bytes, from a size in LVM syntax. */
export function size(minBytes: number, maxBytes: number): ValueType<number> {
  return {
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
    allowed: 'an absolute path of letters, digits and _ . + @ - without ..',
    parse: (raw) => (typeof raw === 'string' ? cleanPath(raw) : undefined),
  };
}

/** Words that match, in one string with blanks between them or as a list; may be empty. */
export function words(allowed: string, isAllowed: (word: string) => boolean): ValueType<readonly string[]> {
  return {
    allowed: `words with blanks between them, each ${allowed}`,
    parse(raw) {
      const list = typeof raw === 'string' ? raw.split(/\s+/).filter((word) => word !== '') : raw;
      return list.length <= 1000 && list.every((word) => word.length <= 255 && isAllowed(word)) ? list : undefined;
    },
  };
}

/** Absolute paths as `words`. */
export function paths(): ValueType<readonly string[]> {
  return words('an absolute path without ..', (word) => cleanPath(word) === word);
}
