/** What a host may be called: as ssh and the resolver take it, never an option, a path or a pattern. */

const pattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$/;

export function isHostName(name: string): boolean {
  return pattern.test(name);
}
