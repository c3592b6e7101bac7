/**
 * Foreign text made fit for one line of a message: control characters visible, long values cut. Whatever a user
 * put into a name can be shown with it, without forging a line of the log.
 */

/** Line breaks, control characters, and what reorders or hides text in a terminal or a browser. */
const invisible = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const unpaired = /\p{Surrogate}/gu;

/** `value` with each invisible character as `\n`, `\t` or `\u{..}`, cut to `limit` characters. */
export function printable(value: string, limit = 80): string {
  const cut = value.length > limit ? `${value.slice(0, limit)}...` : value;
  return cut.replace(unpaired, escapeCharacter).replace(invisible, escapeCharacter);
}

/** `printable` in quotes, with the length when it was cut. */
export function quoted(value: string, limit = 80): string {
  const length = value.length > limit ? ` (${value.length} characters)` : '';
  return `'${printable(value, limit)}'${length}`;
}

function escapeCharacter(character: string): string {
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  if (character === '\t') return '\\t';
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
