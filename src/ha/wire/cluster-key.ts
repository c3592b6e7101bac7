/**
 * The key of the cluster: from its file to what authenticates datagrams and calls. Each use has a key of its own, derived
 * with the cluster's name, so that a datagram can't be made of a call and two clusters with one key file don't mix.
 *
 * Guarantees: a file that others than root may read or write is refused; the first line is what this node speaks with,
 * every line is accepted, so that keys are changed while the cluster runs.
 */
import { createHmac } from 'node:crypto';
import * as fs from 'node:fs';
import { CxmError } from '../../errors.ts';

export interface ClusterKey {
  /** Tells the keys of a file apart, and says nothing about them. 3 bytes. */
  readonly id: number;
  readonly datagrams: Buffer;
  readonly calls: Buffer;
}

const minKeyBytes = 32;
const maxFileBytes = 65_536;

/** @returns at least one. @throws CxmError CONFIG, ACCESS_DENIED */
export function readClusterKeys(path: string, cluster: string): readonly ClusterKey[] {
  const keys = readLines(path).map((line, index) => deriveKey(secretOf(line, path, index), cluster));
  if (keys.length > 0) return keys;
  throw new CxmError('CONFIG', `there is no key in ${path}`, { hint: howToMake(path) });
}

function readLines(path: string): readonly string[] {
  try {
    const descriptor = fs.openSync(path, 'r');
    try {
      const { mode, uid, size } = fs.fstatSync(descriptor);
      const isSafe = (mode & 0o077) === 0 && (uid === 0 || uid === process.geteuid?.());
      if (!isSafe) {
        const hint = `the key opens the whole cluster: chown root ${path}; chmod 600 ${path}; and make a new one`;
        throw new CxmError('ACCESS_DENIED', `others than root may read or change ${path}`, { hint });
      }
      if (size > maxFileBytes) throw new CxmError('CONFIG', `${path} is too large for a key`);
      const lines = fs.readFileSync(descriptor, 'latin1').split('\n');
      return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
    } finally {
      fs.closeSync(descriptor);
    }
  } catch (cause) {
    if (cause instanceof CxmError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CxmError('CONFIG', `the key of the cluster can't be read: ${why}`, { hint: howToMake(path), cause });
  }
}

function secretOf(line: string, path: string, index: number): Buffer {
  const secret = /^[0-9a-f]+$/i.test(line)
    ? Buffer.from(line, 'hex')
    : /^[A-Za-z0-9+/]+={0,2}$/.test(line)
      ? Buffer.from(line, 'base64')
      : Buffer.alloc(0);
  if (secret.length >= minKeyBytes) return secret;
  throw new CxmError('CONFIG', `key ${index + 1} of ${path} is no key of ${minKeyBytes} bytes or more`, {
    hint: howToMake(path),
  });
}

function deriveKey(secret: Buffer, cluster: string): ClusterKey {
  const derive = (use: string): Buffer => createHmac('sha256', secret).update(`cxm ${use} 1\0${cluster}`).digest();
  return { id: derive('id').readUIntBE(0, 3), datagrams: derive('datagrams'), calls: derive('calls') };
}

function howToMake(path: string): string {
  return `on one node: (umask 077; head -c 32 /dev/urandom | base64 >${path}); then copy it to the others`;
}
