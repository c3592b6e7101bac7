/**
 * Values of an element's children by name: text as it is, numbers and switches checked. What is missing or empty is
 * `undefined`, because OpenNebula's versions differ in which attributes they write at all.
 */
import { CxmError } from '../../errors.ts';
import { quoted } from '../printable.ts';
import type { XmlElement } from './xml.ts';

/** The first child with this name. */
export function childOf(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((child) => child.name === name);
}

/** All children with this name, in order. */
export function childrenNamed(element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? [];
}

/** The text of the first child with this name; `undefined` when it is missing or empty. */
export function textOf(element: XmlElement | undefined, name: string): string | undefined {
  const text = childOf(element, name)?.text;
  return text === undefined || text === '' ? undefined : text;
}

/** A whole number, -1 included, which OpenNebula writes for `none`. @throws CxmError INVALID_INPUT */
export function integerOf(element: XmlElement | undefined, name: string): number | undefined {
  const text = textOf(element, name)?.trim();
  if (text === undefined || text === '') return undefined;
  if (!/^-?[0-9]{1,15}$/.test(text)) throw notANumber(element, name, text);
  return Number(text);
}

/** A number with decimals, such as CPU. @throws CxmError INVALID_INPUT */
export function decimalOf(element: XmlElement | undefined, name: string): number | undefined {
  const text = textOf(element, name)?.trim();
  if (text === undefined || text === '') return undefined;
  if (!/^[0-9]{0,9}(?:\.[0-9]{0,9})?$/.test(text) || text === '.') throw notANumber(element, name, text);
  return Number(text);
}

/** OpenNebula's switches: YES in any case is on, a missing one is off. */
export function switchOf(element: XmlElement | undefined, name: string): boolean {
  return textOf(element, name)?.trim().toUpperCase() === 'YES';
}

function notANumber(element: XmlElement | undefined, name: string, text: string): CxmError {
  return new CxmError('INVALID_INPUT', `${element?.name ?? 'document'}/${name} is not a number: ${quoted(text, 40)}`);
}
