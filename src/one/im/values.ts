/**
 * Values as probes may print them. OpenNebula parses what they print as a template, and 3.x even lets a shell expand
 * it (`echo $data`), so nothing that either of them takes for more than text comes through: what is foreign is
 * replaced, what may hold anything travels as base64.
 */

const maxCharacters = 128;
const deployIdPattern = /^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,254}$/;

/** `NAME="value"`, one line. */
export function textAttribute(name: string, value: string): string {
  return `${name}="${plain(value)}"`;
}

/** `NAME=12`; decimals are cut to two. */
export function numberAttribute(name: string, value: number): string {
  return `${name}=${wholeOrTwoDecimals(value)}`;
}

/** Lines of `NAME="value"` in base64, as the templates within templates are. */
export function encoded(lines: readonly string[]): string {
  return Buffer.from(lines.map((line) => `${line}\n`).join('')).toString('base64');
}

/** Letters, digits and harmless signs; everything else becomes one blank. */
export function plain(value: string): string {
  return value
    .replace(/[^A-Za-z0-9_.:@()+/#%-]+/g, ' ')
    .trim()
    .slice(0, maxCharacters);
}

/** Whether oned may carry this name back to us as the id of a domain, through shells of all versions. */
export function isDeployId(name: string): boolean {
  return deployIdPattern.test(name);
}

export function wholeOrTwoDecimals(value: number): string {
  return Number.isFinite(value) ? String(Math.round(value * 100) / 100) : '0';
}
