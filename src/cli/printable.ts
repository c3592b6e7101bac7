/**
 * Text from outside made fit for a terminal: a name or a message of a program that holds control characters can neither
 * move the cursor nor forge a line.
 */

/** Line breaks, control characters, and what reorders or hides text. */
const harmful = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Each harmful character as `\n`, `\t` or `\u{...}`, all cut to `limit` characters. */
export function printable(text: string, limit = 2000): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}...` : text;
  return cut.replace(harmful, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
