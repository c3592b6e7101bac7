/**
 * Checking what came from outside: a shape reads a value of any kind and gives one of its type, or says what is wrong and
 * where. Guarantees: what passes has the fields of the type and no others, texts and lists within their limits. Pure.
 */
import { CxmError } from '../../errors.ts';

export type Shape<T> = (value: unknown, where: string) => T;

export type ShapeOf<S> = S extends Shape<infer T> ? T : never;

function wrong(where: string, allowed: string): CxmError {
  return new CxmError('INVALID_INPUT', `${where} must be ${allowed}`);
}

export function text(maxLength: number): Shape<string> {
  return (value, where) => {
    if (typeof value === 'string' && value.length <= maxLength) return value;
    throw wrong(where, `a text of at most ${maxLength} characters`);
  };
}

/** A whole number from min to max. */
export function count(min = 0, max = Number.MAX_SAFE_INTEGER): Shape<number> {
  return (value, where) => {
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
    throw wrong(where, `a whole number from ${min} to ${max}`);
  };
}

export const truth: Shape<boolean> = (value, where) => {
  if (typeof value === 'boolean') return value;
  throw wrong(where, 'true or false');
};

export function word<const W extends string>(...words: readonly W[]): Shape<W> {
  return (value, where) => {
    const found = words.find((one) => one === value);
    if (found !== undefined) return found;
    throw wrong(where, `one of ${words.join(', ')}`);
  };
}

export function list<T>(item: Shape<T>, maxLength: number): Shape<readonly T[]> {
  return (value, where) => {
    if (Array.isArray(value) && value.length <= maxLength) {
      return value.map((one: unknown, index) => item(one, `${where}[${index}]`));
    }
    throw wrong(where, `a list of at most ${maxLength}`);
  };
}

type Fields<T> = { readonly [K in keyof T]-?: Shape<T[K]> };

/** Exactly these fields. */
export function record<T extends object>(fields: Fields<T>): Shape<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return (value, where) => {
    const all = fieldsOf(value, where);
    const stranger = Object.keys(all).find((name) => !Object.hasOwn(fields, name));
    if (stranger !== undefined) throw wrong(where, `without a field ${JSON.stringify(stranger.slice(0, 40))}`);
    const entries = names.map((name) => [name, fields[name](all[name], `${where}.${name}`)]);
    return Object.fromEntries(entries) as T;
  };
}

/** One of several records, told apart by their field `kind`. */
export function variant<T extends { readonly kind: string }>(shapes: {
  readonly [K in T['kind']]: Shape<Omit<Extract<T, { kind: K }>, 'kind'>>;
}): Shape<T> {
  const table: Readonly<Record<string, Shape<object>>> = shapes;
  return (value, where) => {
    const { kind, ...rest } = fieldsOf(value, where);
    const shape = typeof kind === 'string' && Object.hasOwn(table, kind) ? table[kind] : undefined;
    if (shape === undefined) throw wrong(`${where}.kind`, `one of ${Object.keys(table).join(', ')}`);
    return { kind, ...shape(rest, where) } as unknown as T;
  };
}

/** Left out, or as the shape says. */
export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value, where) => (value === undefined ? undefined : shape(value, where));
}

function fieldsOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(where, 'an object');
}
