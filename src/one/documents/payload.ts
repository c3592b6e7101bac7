/**
 * What arrives on standard input or in an argument, whichever way the installed version wraps it: nothing, XML or a
 * Xen configuration, as it is or in base64, in one line or broken into several. The caller gets
 * plain text and what it is.
 */
import { CxmError } from '../../errors.ts';
import { printable } from '../printable.ts';
import { documentLimits } from './xml.ts';

export type Payload =
  | { readonly kind: 'empty' }
  /** An XML document; not parsed yet. */
  | { readonly kind: 'xml'; readonly text: string }
  /** A domain configuration as oned's generator for `type="xen"` writes it. */
  | { readonly kind: 'xen'; readonly text: string };

/**
 * @param input bytes decoded as UTF-8
 * @param what names the input in errors
 * @throws CxmError INVALID_INPUT when it is neither XML, nor a Xen configuration, nor base64 of one of them
 */
export function readPayload(input: string, what: string): Payload {
  if (input.length > (documentLimits.characters * 4) / 3) {
    throw invalid(what, `is longer than ${documentLimits.characters} characters`);
  }
  const plain = classify(input);
  if (plain !== undefined) return plain;
  const decoded = decodeBase64(input);
  const inner = decoded === undefined ? undefined : classify(decoded);
  if (inner === undefined || inner.kind === 'empty') {
    throw invalid(what, `is neither XML nor a Xen configuration nor base64 of one: '${printable(input, 40)}'`);
  }
  return inner;
}

/** The text that `input` holds in base64, line breaks allowed; nothing if it is not base64 of UTF-8 text. */
export function decodeBase64(input: string): string | undefined {
  const digits = input.replace(/[\r\n\t ]+/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(digits) || digits.length % 4 === 1) return undefined;
  if (digits.endsWith('=') && digits.length % 4 !== 0) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(digits, 'base64'));
  } catch {
    return undefined;
  }
}

function classify(input: string): Payload | undefined {
  const text = input.replace(/^\ufeff/, '');
  const start = text.trimStart();
  if (start === '') return { kind: 'empty' };
  if (start.startsWith('<')) return { kind: 'xml', text: start };
  // The first line of a generated configuration is `name = 'one-7'`; comments may precede it in edited ones.
  if (/^(?:#|[A-Za-z_][A-Za-z0-9_]*[ \t]*=[ \t]*\S)/.test(start) && !isBase64Line(start)) return { kind: 'xen', text };
  return undefined;
}

/** `QUJDRA==` looks like an assignment of `=` too. */
function isBase64Line(text: string): boolean {
  return /^[A-Za-z0-9+/\r\n]+={0,2}\s*$/.test(text);
}

function invalid(what: string, sentence: string): CxmError {
  return new CxmError('INVALID_INPUT', `${what} ${sentence}`);
}
