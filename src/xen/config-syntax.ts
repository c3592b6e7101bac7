/**
 * The grammar of xl.cfg(5), as the program xl reads it: assignments ended by a newline or `;`, strings in either quote
 * with backslash escapes, unquoted numbers, lists that nest and may span lines, `#` comments, and `+=`. A file is data
 * and never executed; what xl refuses is refused here, with the line. Every assignment and value knows where it stands
 * in the text, which is what lets an edit leave the rest of the file alone.
 */
import { CxmError } from '../errors.ts';

/** A text that is not a configuration. `line` counts from 1; `found` is the piece of the text that was not understood. */
export class ConfigSyntaxError extends CxmError {
  readonly line: number;
  readonly found: string;

  constructor(fileName: string, line: number, found: string, problem: string) {
    super('INVALID_INPUT', `${fileName}, line ${line}: found ${found}; ${problem}`, {
      hint: 'mend the line; see xl.cfg(5) for the language',
    });
    this.line = line;
    this.found = found;
  }
}

/** A value and its place: `text.slice(start, end)`. A number keeps its spelling, as xl keeps it. */
export type ValueNode =
  | { readonly kind: 'string'; readonly start: number; readonly end: number; readonly text: string }
  | { readonly kind: 'number'; readonly start: number; readonly end: number; readonly text: string }
  | { readonly kind: 'list'; readonly start: number; readonly end: number; readonly items: readonly ValueNode[] };

export interface Assignment {
  readonly key: string;
  readonly operator: '=' | '+=';
  readonly start: number;
  readonly operatorStart: number;
  readonly end: number;
  readonly line: number;
  readonly value: ValueNode;
}

/** Limits that no sane file reaches; they bound the work for a hostile one. */
export const maxConfigCharacters = 1024 * 1024;
export const maxListDepth = 16;

/** What xl accepts as a key. */
export const keyPattern = /^[a-z][a-z0-9_]*$/;

type TokenKind = 'key' | 'number' | 'string' | 'newline' | '[' | ']' | ',' | ';' | '=' | '+=' | 'end';

interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
  readonly line: number;
}

const tokenPatterns: readonly (readonly [TokenKind, RegExp])[] = [
  ['newline', /(?:#[^\n]*)?\n|#[^\n]*$/y],
  ['string', /'(?:[^'\\\n]|\\[^\n])*'|"(?:[^"\\\n]|\\[^\n])*"/y],
  ['key', /[a-z][a-z0-9_]*/y],
  ['number', /[0-9][0-9a-fx]*/y],
  ['+=', /\+=/y],
];
const blank = /[ \t]*/y;

class Scanner {
  private readonly text: string;
  private readonly fileName: string;
  private position = 0;
  private line = 1;

  constructor(text: string, fileName: string) {
    this.text = text;
    this.fileName = fileName;
  }

  next(): Token {
    blank.lastIndex = this.position;
    blank.exec(this.text);
    const start = blank.lastIndex;
    const kind = this.match(start);
    const token: Token = { kind, start, end: this.position, line: this.line };
    if (kind === 'newline') this.line++;
    return token;
  }

  private match(start: number): TokenKind {
    if (start >= this.text.length) {
      this.position = start;
      return 'end';
    }
    for (const [kind, pattern] of tokenPatterns) {
      pattern.lastIndex = start;
      if (pattern.exec(this.text) === null) continue;
      this.position = pattern.lastIndex;
      return kind;
    }
    const character = this.text.charAt(start);
    if (character === '[' || character === ']' || character === ',' || character === ';' || character === '=') {
      this.position = start + 1;
      return character;
    }
    const found = /^[^ \t\n]*/.exec(this.text.slice(start, start + 60))?.[0] ?? character;
    throw new ConfigSyntaxError(this.fileName, this.line, printable(found), problemOf(character));
  }
}

function problemOf(character: string): string {
  if (character === '"' || character === "'") return 'the string does not end on its line';
  if (character === '\r') return 'the file has carriage returns, which xl does not read';
  if (/[A-Z_]/.test(character)) return 'a key is of lower-case letters, digits and underscores';
  return 'the language has no such sign here, and code is not executed';
}

/** For messages: control characters shown as escapes. */
function printable(text: string): string {
  return JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
}

/**
 * The assignments of a file in their order.
 * @throws ConfigSyntaxError
 */
export function parseAssignments(text: string, fileName: string): readonly Assignment[] {
  if (text.length > maxConfigCharacters) {
    throw new CxmError('INVALID_INPUT', `${fileName} is longer than ${maxConfigCharacters} characters`);
  }
  if (text.includes('\0')) {
    const line = text.slice(0, text.indexOf('\0')).split('\n').length;
    throw new ConfigSyntaxError(fileName, line, 'a NUL character', 'a configuration is text');
  }
  return new Parser(text, fileName).assignments();
}

class Parser {
  private readonly text: string;
  private readonly fileName: string;
  private readonly scanner: Scanner;
  private token: Token;

  constructor(text: string, fileName: string) {
    this.text = text;
    this.fileName = fileName;
    this.scanner = new Scanner(text, fileName);
    this.token = this.scanner.next();
  }

  assignments(): readonly Assignment[] {
    const found: Assignment[] = [];
    for (;;) {
      while (this.at('newline') || this.at(';')) this.advance();
      if (this.at('end')) return found;
      found.push(this.assignment());
      if (!['newline', ';', 'end'].includes(this.token.kind)) {
        throw this.unexpected('an assignment ends with its line or with ;');
      }
    }
  }

  private assignment(): Assignment {
    const key = this.token;
    if (key.kind !== 'key') throw this.unexpected('a line is KEY = VALUE');
    this.advance();
    const operator = this.token;
    if (operator.kind !== '=' && operator.kind !== '+=') throw this.unexpected('a key is followed by = or +=');
    this.advance();
    const value = this.value(0);
    return {
      key: this.text.slice(key.start, key.end),
      operator: operator.kind,
      start: key.start,
      operatorStart: operator.start,
      end: value.end,
      line: key.line,
      value,
    };
  }

  private value(depth: number): ValueNode {
    const { kind, start, end, line } = this.token;
    if (kind === '[') return this.list(depth);
    if (kind !== 'string' && kind !== 'number') {
      throw this.unexpected('a value is a string in quotes, a number or a list');
    }
    const source = this.text.slice(start, end);
    const text = kind === 'string' ? unquote(source, this.fileName, line) : source;
    this.advance();
    return { kind, start, end, text };
  }

  private list(depth: number): ValueNode {
    if (depth >= maxListDepth) throw this.unexpected(`lists nest at most ${maxListDepth} deep`);
    const start = this.token.start;
    const items: ValueNode[] = [];
    this.advance();
    this.skipNewlines();
    while (!this.at(']')) {
      items.push(this.value(depth + 1));
      this.skipNewlines();
      if (this.at(',')) {
        this.advance();
        this.skipNewlines();
      } else if (!this.at(']')) {
        throw this.unexpected('the items of a list are separated by commas, and ] ends it');
      }
    }
    const end = this.token.end;
    this.advance();
    return { kind: 'list', start, end, items };
  }

  private at(kind: TokenKind): boolean {
    return this.token.kind === kind;
  }

  private advance(): void {
    this.token = this.scanner.next();
  }

  private skipNewlines(): void {
    while (this.at('newline')) this.advance();
  }

  private unexpected(problem: string): ConfigSyntaxError {
    const { kind, start, end, line } = this.token;
    const names: Partial<Record<TokenKind, string>> = { newline: 'the end of the line', end: 'the end of the file' };
    const found = names[kind] ?? printable(this.text.slice(start, Math.min(end, start + 60)));
    return new ConfigSyntaxError(this.fileName, line, found, problem);
  }
}

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '\\': '\\',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** xl has numeric escapes too, but drops the character they stand for: they are refused rather than misread. */
function unquote(source: string, fileName: string, line: number): string {
  return source.slice(1, -1).replace(/\\(.)/gsu, (whole, character: string) => {
    const meant = escapes[character];
    if (meant === undefined) {
      throw new ConfigSyntaxError(fileName, line, printable(whole).replaceAll('\\\\', '\\'), 'xl knows no such escape');
    }
    return meant;
  });
}

/**
 * A string as xl reads it back: in single quotes where it can be, so that it stays readable, with `\` and the quote
 * escaped. Undefined when it holds a control character other than a tab or half a surrogate pair: xl could spell some
 * of them, but none belongs into a domain's configuration.
 */
export function quote(text: string): string | undefined {
  if (/[\x00-\x08\x0a-\x1f\x7f]|\p{Surrogate}/u.test(text)) return undefined;
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  return mark + text.replaceAll('\\', '\\\\').replaceAll(mark, `\\${mark}`) + mark;
}
