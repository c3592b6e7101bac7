/**
 * Reading parameters of operations at the helper's door: the caller is an unprivileged user whom sudo lets in, so
 * everything is checked again here, whatever the drivers have checked before.
 */
import { CxmError } from '../errors.ts';

export type Parameters = Readonly<Record<string, unknown>>;

function refuse(name: string, value: unknown, allowed: string): never {
  const found = JSON.stringify(value)?.slice(0, 80) ?? 'missing';
  throw new CxmError('INVALID_INPUT', `parameter ${name} is ${found}, but must be ${allowed}`);
}

export function wholeNumber(parameters: Parameters, name: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  const value = parameters[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  return refuse(name, value, `a whole number from ${min} to ${max}`);
}

export function optionalNumber(parameters: Parameters, name: string, min = 0): number | undefined {
  return parameters[name] === undefined ? undefined : wholeNumber(parameters, name, min);
}

export function string(parameters: Parameters, name: string, pattern: RegExp, allowed: string): string {
  const value = parameters[name];
  if (typeof value === 'string' && value.length <= 4096 && pattern.test(value)) return value;
  return refuse(name, value, allowed);
}

export function optionalString(
  parameters: Parameters,
  name: string,
  pattern: RegExp,
  allowed: string,
): string | undefined {
  return parameters[name] === undefined ? undefined : string(parameters, name, pattern, allowed);
}

export function choice<const W extends string>(parameters: Parameters, name: string, words: readonly W[]): W {
  const value = parameters[name];
  return words.find((word) => word === value) ?? refuse(name, value, `one of ${words.join(', ')}`);
}

export function flag(parameters: Parameters, name: string): boolean {
  const value = parameters[name];
  if (value === undefined) return false;
  return typeof value === 'boolean' ? value : refuse(name, value, 'true or false');
}

/** An absolute path without `.`, `..`, empty parts or control characters. */
export function absolutePath(parameters: Parameters, name: string): string {
  const value = parameters[name];
  const parts = typeof value === 'string' ? value.split('/').slice(1) : [];
  const clean =
    typeof value === 'string' &&
    value.startsWith('/') &&
    value.length <= 1024 &&
    !/[\x00-\x1f\x7f]/.test(value) &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..');
  return clean ? value : refuse(name, value, 'an absolute path without .. and control characters');
}

export function optionalPath(parameters: Parameters, name: string): string | undefined {
  return parameters[name] === undefined ? undefined : absolutePath(parameters, name);
}

/** A list of whole numbers. */
export function numbers(parameters: Parameters, name: string): number[] {
  const value = parameters[name];
  const ok = Array.isArray(value) && value.length <= 1000 && value.every((n) => Number.isSafeInteger(n) && n >= 0);
  return ok ? (value as number[]) : refuse(name, value, 'a list of whole numbers');
}

/** Any text up to `maxLength`, as a document. */
export function longText(parameters: Parameters, name: string, maxLength: number): string {
  const value = parameters[name];
  if (typeof value === 'string' && value.length <= maxLength) return value;
  return refuse(name, typeof value, `a text of at most ${maxLength} characters`);
}
