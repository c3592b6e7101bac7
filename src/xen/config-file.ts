/**
 * A domain's configuration file that can be read and edited. Reading follows xl: the last assignment of a key counts,
 * `+=` adds to what was there, quoted numbers are numbers. An edit changes the text of that value alone: comments, order,
 * spacing and keys nobody here knows stay. A value can't leave its string: after each edit the new text is parsed again
 * and must give back exactly what was set.
 */
import { CxmError } from '../errors.ts';
import { keyPattern, maxListDepth, parseAssignments, quote } from './config-syntax.ts';
import type { Assignment, ValueNode } from './config-syntax.ts';

export type ConfigValue = string | number | readonly ConfigValue[];

export interface DomainConfig {
  /** The value as xl sees it; an unquoted number that fits is a number. Undefined when the key is not there. */
  get(key: string): ConfigValue | undefined;
  /** Text of a string or the spelling of a number (xl makes no difference). @throws CxmError INVALID_INPUT for a list */
  getString(key: string): string | undefined;
  /** A number, quoted or not: decimal, 0x or octal, as xl. @throws CxmError INVALID_INPUT for anything else */
  getNumber(key: string): number | undefined;
  /** The items of a list. @throws CxmError INVALID_INPUT for a single value */
  getList(key: string): readonly ConfigValue[] | undefined;
  /**
   * Sets a key: in its place, or at the end of the file when it is new. Items of a list that stay keep their comments.
   * @throws CxmError INVALID_INPUT naming the key for what the language can't or shouldn't hold: a control character, a
   * number that is not a whole number from 0, a key that xl would not read
   */
  set(key: string, value: ConfigValue): void;
  /** Removes every assignment of the key; comments stay. True when there was one. */
  delete(key: string): boolean;
  has(key: string): boolean;
  /** The keys in the order of their first assignment. */
  keys(): readonly string[];
  /** The text of the file; what was parsed, byte for byte, when nothing was changed. */
  toString(): string;
}

/**
 * Parses an xl.cfg or xm configuration. xm's files that hold Python beyond assignments are refused, as xl refuses them.
 * @throws CxmError INVALID_INPUT (a ConfigSyntaxError with file, line and what was found)
 */
export function parseDomainConfig(text: string, fileName: string): DomainConfig {
  return new EditableConfig(text, fileName);
}

class EditableConfig implements DomainConfig {
  private text: string;
  private readonly fileName: string;
  private assignments: readonly Assignment[];

  constructor(text: string, fileName: string) {
    this.text = text;
    this.fileName = fileName;
    this.assignments = parseAssignments(text, fileName);
    for (const key of this.keys()) this.node(key);
  }

  get(key: string): ConfigValue | undefined {
    const node = this.node(key);
    return node && valueOf(node);
  }

  getString(key: string): string | undefined {
    const node = this.node(key);
    if (node?.kind === 'list') throw this.wrongType(key, 'a list', 'a single value');
    return node?.text;
  }

  getNumber(key: string): number | undefined {
    const node = this.node(key);
    if (node === undefined) return undefined;
    const number = node.kind === 'list' ? undefined : numberOf(node.text);
    if (number === undefined) throw this.wrongType(key, node.kind === 'list' ? 'a list' : 'text', 'a whole number');
    return number;
  }

  getList(key: string): readonly ConfigValue[] | undefined {
    const node = this.node(key);
    if (node !== undefined && node.kind !== 'list') throw this.wrongType(key, 'a single value', 'a list');
    return node?.items.map(valueOf);
  }

  has(key: string): boolean {
    return this.assignments.some((assignment) => assignment.key === key);
  }

  keys(): readonly string[] {
    return [...new Set(this.assignments.map((assignment) => assignment.key))];
  }

  set(key: string, value: ConfigValue): void {
    if (!keyPattern.test(key)) {
      throw new CxmError('INVALID_INPUT', `${JSON.stringify(key)} can't be a key of a domain's configuration`);
    }
    const source = formatValue(key, value, 0);
    const last = this.assignments.findLast((assignment) => assignment.key === key);
    if (last === undefined) {
      const separator = this.text === '' || this.text.endsWith('\n') ? '' : '\n';
      this.replaceText(`${this.text}${separator}${key} = ${source}\n`);
    } else if (last.operator === '+=') {
      this.replaceText(splice(this.text, last.operatorStart, last.end, `= ${source}`));
    } else if (last.value.kind === 'list' && Array.isArray(value)) {
      this.replaceText(editList(this.text, last.value, value, key));
    } else {
      this.replaceText(splice(this.text, last.value.start, last.value.end, source));
    }
    if (!sameValue(this.get(key), value)) {
      throw new CxmError('INTERNAL', `the configuration holds another value for ${key} than was set`);
    }
  }

  delete(key: string): boolean {
    const mine = this.assignments.filter((assignment) => assignment.key === key);
    let text = this.text;
    for (const assignment of mine.toReversed()) text = removeAssignment(text, assignment);
    this.replaceText(text);
    return mine.length > 0;
  }

  toString(): string {
    return this.text;
  }

  private replaceText(text: string): void {
    this.assignments = parseAssignments(text, this.fileName);
    this.text = text;
  }

  /** The value that counts: the last `=` of the key and every `+=` after it. */
  private node(key: string): ValueNode | undefined {
    let node: ValueNode | undefined;
    for (const assignment of this.assignments) {
      if (assignment.key !== key) continue;
      node = assignment.operator === '=' || node === undefined ? assignment.value : this.add(node, assignment);
    }
    return node;
  }

  private add(node: ValueNode, assignment: Assignment): ValueNode {
    const { value } = assignment;
    if (node.kind === 'list' && value.kind === 'list') return { ...value, items: [...node.items, ...value.items] };
    if (node.kind !== 'list' && value.kind !== 'list')
      return { ...value, kind: 'string', text: node.text + value.text };
    throw new CxmError(
      'INVALID_INPUT',
      `${this.fileName}, line ${assignment.line}: += adds a list to a single value of ${assignment.key}, or the reverse`,
    );
  }

  private wrongType(key: string, is: string, wanted: string): CxmError {
    const line = this.assignments.findLast((assignment) => assignment.key === key)?.line ?? 0;
    return new CxmError('INVALID_INPUT', `${this.fileName}, line ${line}: ${key} is ${is}, not ${wanted}`);
  }
}

function valueOf(node: ValueNode): ConfigValue {
  if (node.kind === 'list') return node.items.map(valueOf);
  return node.kind === 'string' ? node.text : (numberOf(node.text) ?? node.text);
}

/** As C's strtol with base 0; undefined when the text is not such a number or too large to be exact. */
function numberOf(text: string): number | undefined {
  const match = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(text);
  const digits = match?.[2];
  if (digits === undefined) return undefined;
  const magnitude = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  if (!Number.isSafeInteger(magnitude)) return undefined;
  return match?.[1] === '-' && magnitude !== 0 ? -magnitude : magnitude;
}

function formatValue(key: string, value: ConfigValue, depth: number): string {
  if (typeof value === 'string') {
    const quoted = quote(value);
    if (quoted !== undefined) return quoted;
    throw new CxmError('INVALID_INPUT', `the value of ${key} holds a control character: ${JSON.stringify(value)}`);
  }
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)) return String(value);
    throw new CxmError('INVALID_INPUT', `the value of ${key} is ${value}; xl writes whole numbers from 0`);
  }
  if (depth >= maxListDepth)
    throw new CxmError('INVALID_INPUT', `the lists in ${key} nest deeper than ${maxListDepth}`);
  return `[${value.map((item) => formatValue(key, item, depth + 1)).join(', ')}]`;
}

/**
 * The text with a list's items replaced one by one, so that comments between them stay: the items both lists begin and
 * end with are not touched, those between are replaced in place, then the rest is inserted or removed.
 */
function editList(
  text: string,
  list: ValueNode & { kind: 'list' },
  value: readonly ConfigValue[],
  key: string,
): string {
  const old = list.items;
  const fresh = value.map((item) => formatValue(key, item, 1));
  let prefix = 0;
  while (prefix < Math.min(old.length, value.length) && same(old[prefix], value[prefix])) prefix++;
  let suffix = 0;
  const room = Math.min(old.length, value.length) - prefix;
  while (suffix < room && same(old[old.length - 1 - suffix], value[value.length - 1 - suffix])) suffix++;
  const oldEnd = old.length - suffix;
  const inPlace = prefix + Math.min(oldEnd, fresh.length - suffix) - prefix;
  const added = fresh.slice(inPlace, fresh.length - suffix);
  const following = old[oldEnd];
  const before = old[inPlace - 1];
  let result = text;
  if (added.length > 0) {
    if (before !== undefined) result = splice(result, before.end, before.end, `, ${added.join(', ')}`);
    else if (following !== undefined)
      result = splice(result, following.start, following.start, `${added.join(', ')}, `);
    else result = splice(result, list.start + 1, list.start + 1, added.join(', '));
  } else if (inPlace < oldEnd) {
    const lastGone = old[oldEnd - 1];
    const firstGone = old[inPlace];
    if (following !== undefined) result = splice(result, firstGone?.start ?? 0, following.start, '');
    else if (before !== undefined) result = splice(result, before.end, lastGone?.end ?? before.end, '');
    else result = splice(result, list.start, list.end, '[]');
  }
  for (let index = inPlace - 1; index >= prefix; index--) {
    const item = old[index];
    if (item !== undefined) result = splice(result, item.start, item.end, fresh[index] ?? '');
  }
  return result;
}

function same(node: ValueNode | undefined, value: ConfigValue | undefined): boolean {
  return node !== undefined && value !== undefined && sameValue(valueOf(node), value);
}

function sameValue(one: ConfigValue | undefined, other: ConfigValue | undefined): boolean {
  if (typeof one !== 'object' || typeof other !== 'object') return one === other;
  return one.length === other.length && one.every((item, index) => sameValue(item, other[index]));
}

/** Removes the whole line when nothing else stands on it, else only the assignment and the `;` after it. */
function removeAssignment(text: string, assignment: Assignment): string {
  const lineStart = text.lastIndexOf('\n', assignment.start - 1) + 1;
  const after = /^[ \t]*(\n|;[ \t]*|$)/.exec(text.slice(assignment.end));
  const alone = text.slice(lineStart, assignment.start).trim() === '';
  if (after === null) return splice(text, assignment.start, assignment.end, '');
  const ended = assignment.end + after[0].length;
  if (after[0].includes(';')) return splice(text, assignment.start, ended, '');
  return alone ? splice(text, lineStart, ended, '') : splice(text, assignment.start, assignment.end, '');
}

function splice(text: string, start: number, end: number, replacement: string): string {
  return text.slice(0, start) + replacement + text.slice(end);
}
