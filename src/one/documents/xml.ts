/**
 * From the text of an XML document to a tree of elements whose values are all strings.
 *
 * Documents carry what cloud users typed, so nothing in them is trusted: the text is validated first, a DOCTYPE is
 * refused (no entity can be declared), only the five predefined and the numeric character references are replaced,
 * size, depth and number of elements are bounded, and anything malformed is one INVALID_INPUT error. Numbers stay
 * text (`0012` and `1e5` are names to OpenNebula).
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { CxmError } from '../../errors.ts';
import { printable } from '../printable.ts';

/** One element. `text` is its character data; of elements with children it is of no interest. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/** Characters of a document, elements in it, and how deep they may nest. */
export const documentLimits = { characters: 16 * 1024 * 1024, elements: 500_000, depth: 32 } as const;

const parserOptions = {
  preserveOrder: true,
  processEntities: false,
  htmlEntities: false,
  parseTagValue: false,
  trimValues: false,
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  textNodeName: '#text',
  cdataPropName: '#cdata',
  maxNestedTags: documentLimits.depth,
} as const;

const predefinedEntities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** What XML 1.0 does not allow in a document, neither raw nor as a reference. */
const forbiddenCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/**
 * The root element of a document.
 * @param text the document, a byte order mark allowed
 * @param what names the document in errors, such as `the VM document`
 * @throws CxmError INVALID_INPUT when it is not one well-formed document within the limits
 */
export function parseXml(text: string, what: string): XmlElement {
  const document = text.startsWith('\ufeff') ? text.slice(1) : text;
  refuse(document.trim() === '', what, 'is empty');
  refuse(document.length > documentLimits.characters, what, `is longer than ${documentLimits.characters} characters`);
  refuse(forbiddenCharacters.test(document), what, 'contains control characters');
  refuse(/<!(?!--|\[CDATA\[)/.test(withoutCharacterData(document)), what, 'declares a document type or entities');
  const verdict = validate(document, what);
  if (verdict !== true) {
    throw invalid(what, `is not well-formed XML: line ${verdict.err.line}: ${verdict.err.msg}`);
  }
  const counter = { elements: 0 };
  const roots = childrenOf(parse(document, what), what, 1, counter);
  const root = roots.children[0];
  if (root === undefined || roots.children.length > 1) throw invalid(what, 'does not have exactly one root element');
  return root;
}

function validate(document: string, what: string): ReturnType<typeof XMLValidator.validate> {
  try {
    return XMLValidator.validate(document);
  } catch (error) {
    throw notWellFormed(what, error);
  }
}

function parse(document: string, what: string): unknown {
  try {
    // Made here and not above: setting the parser up costs actions that read no document.
    return new XMLParser(parserOptions).parse(document);
  } catch (error) {
    throw notWellFormed(what, error);
  }
}

function notWellFormed(what: string, error: unknown): CxmError {
  return invalid(what, `is not well-formed XML: ${error instanceof Error ? error.message : String(error)}`);
}

interface Content {
  readonly text: string;
  readonly children: XmlElement[];
}

/** The parser's ordered list of `{name: [...]}`, `{'#text': ...}` and `{'#cdata': [{'#text': ...}]}` as our records. */
function childrenOf(nodes: unknown, what: string, depth: number, counter: { elements: number }): Content {
  if (!Array.isArray(nodes)) throw invalid(what, 'is not well-formed XML');
  refuse(depth > documentLimits.depth + 1, what, `nests deeper than ${documentLimits.depth} elements`);
  let text = '';
  const children: XmlElement[] = [];
  for (const node of nodes as Record<string, unknown>[]) {
    const [name, value] = Object.entries(node).find(([key]) => key !== ':@') ?? [];
    if (name === undefined) continue;
    if (name === '#text') {
      text += decodeEntities(String(value), what);
    } else if (name === '#cdata') {
      for (const part of value as { '#text'?: unknown }[]) text += String(part['#text'] ?? '');
    } else {
      counter.elements += 1;
      refuse(counter.elements > documentLimits.elements, what, `has more than ${documentLimits.elements} elements`);
      children.push({ name, ...childrenOf(value, what, depth + 1, counter) });
    }
  }
  return { text, children };
}

function decodeEntities(text: string, what: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&([^;&]{0,40};)?/g, (whole, body: string | undefined) => {
    const name = body?.slice(0, -1) ?? '';
    const predefined = Object.hasOwn(predefinedEntities, name) ? predefinedEntities[name] : undefined;
    if (predefined !== undefined) return predefined;
    const digits = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name);
    if (digits === null) throw invalid(what, `has an unknown entity ${printable(whole)}`);
    return character(digits[1] === undefined ? Number(digits[2]) : parseInt(digits[1], 16), what);
  });
}

function character(codePoint: number, what: string): string {
  const surrogate = codePoint >= 0xd800 && codePoint <= 0xdfff;
  refuse(codePoint > 0x10ffff || surrogate, what, `refers to a character that does not exist: ${codePoint}`);
  const result = String.fromCodePoint(codePoint);
  refuse(forbiddenCharacters.test(result), what, 'contains control characters');
  return result;
}

/** The markup alone, so that `<!DOCTYPE` inside a comment or a value is not taken for a declaration. */
function withoutCharacterData(document: string): string {
  if (!document.includes('<!')) return '';
  const opening = /<!--|<!\[CDATA\[/g;
  const markup: string[] = [];
  let position = 0;
  for (let match = opening.exec(document); match !== null; match = opening.exec(document)) {
    markup.push(document.slice(position, match.index));
    const closing = match[0] === '<!--' ? '-->' : ']]>';
    const end = document.indexOf(closing, opening.lastIndex);
    // Never closed: the validator says so.
    if (end < 0) return markup.join('');
    position = end + closing.length;
    opening.lastIndex = position;
  }
  return markup.join('') + document.slice(position);
}

function refuse(wrong: boolean, what: string, sentence: string): void {
  if (wrong) throw invalid(what, sentence);
}

function invalid(what: string, sentence: string): CxmError {
  return new CxmError('INVALID_INPUT', `${what} ${printable(sentence, 200)}`, {
    hint: 'look at the document with `onevm show -x` or `oneimage show -x`',
  });
}
