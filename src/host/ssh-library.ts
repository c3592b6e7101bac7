/**
 * The ssh library, loaded by the first connection: it takes a tenth of a second, and most commands reach no other node.
 * Its native parts are left out of our bundles (scripts/plain-ssh2.ts); Node's own cryptography does the work.
 */
import type * as Ssh2 from 'ssh2';

export type SshLibrary = typeof Ssh2;

let loaded: Promise<SshLibrary> | undefined;

export function loadSshLibrary(): Promise<SshLibrary> {
  // A CommonJS package whose exports Node finds only in part: the default export is all of them.
  loaded ??= import('ssh2').then((module) => (module as unknown as { readonly default: SshLibrary }).default);
  return loaded;
}
