/**
 * Whether a host's key is the one we know, decided from known_hosts as OpenSSH does (sshd(8), SSH_KNOWN_HOSTS FILE
 * FORMAT): plain, hashed, wildcard and negated names, `[host]:port`, `@revoked`. A key that nobody wrote down is never
 * accepted.
 *
 * `@cert-authority` can't be honoured: the ssh library knows no host certificates. Such lines make no key known.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface KnownHostLine {
  /** `file, line n` */
  readonly origin: string;
  readonly marker: 'revoked' | 'cert-authority' | undefined;
  /** The first field as it stands. */
  readonly names: string;
  readonly keyType: string;
  readonly key: Buffer;
}

export type HostKeyVerdict =
  | { readonly kind: 'known' }
  | { readonly kind: 'revoked'; readonly origin: string }
  /** Another key of the same type is written down. */
  | { readonly kind: 'changed'; readonly origin: string }
  | {
      readonly kind: 'unknown';
      /** Types of keys by which the host is known. */
      readonly otherTypes: readonly string[];
      /** Where an authority is named for it. */
      readonly authority: string | undefined;
    };

/** The lines of a known_hosts; those that are no such line are left out, as OpenSSH does. */
export function parseKnownHosts(text: string, fileName: string): KnownHostLine[] {
  return text.split('\n').flatMap((line, index) => {
    const fields = line.trim().split(/[ \t]+/);
    const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined;
    const [names, keyType, base64] = fields;
    if (names === undefined || names === '' || names.startsWith('#')) return [];
    if (keyType === undefined || base64 === undefined) return [];
    if (marker !== undefined && marker !== '@revoked' && marker !== '@cert-authority') return [];
    const key = Buffer.from(base64, 'base64');
    if (typeOfKey(key) !== keyType) return [];
    const kind = marker === undefined ? undefined : marker === '@revoked' ? 'revoked' : 'cert-authority';
    return [{ origin: `${fileName}, line ${index + 1}`, marker: kind, names, keyType, key }];
  });
}

/** The type that a public key tells of itself: a length and the name come first (RFC 4253, 6.6). */
export function typeOfKey(key: Buffer): string | undefined {
  if (key.length < 4) return undefined;
  const length = key.readUInt32BE(0);
  return length > 0 && length <= 64 && key.length > 4 + length ? key.toString('latin1', 4, 4 + length) : undefined;
}

/** A host as known_hosts calls it: ports other than ssh's own are part of the name. */
export function knownHostName(host: string, port: number): string {
  return port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
}

/**
 * What is known of a host's key. A key that is known for the host without its port is good for every port, as with
 * OpenSSH; one that differs there says nothing.
 */
export function judgeHostKey(lines: readonly KnownHostLine[], host: string, port: number, key: Buffer): HostKeyVerdict {
  const verdict = judge(lines, knownHostName(host, port), key);
  if (verdict.kind !== 'unknown' || port === 22) return verdict;
  const withoutPort = judge(lines, knownHostName(host, 22), key);
  return withoutPort.kind === 'known' || withoutPort.kind === 'revoked' ? withoutPort : verdict;
}

function judge(lines: readonly KnownHostLine[], name: string, key: Buffer): HostKeyVerdict {
  const own = lines.filter((line) => matchesName(line.names, name));
  const revoked = own.find((line) => line.marker === 'revoked' && line.key.equals(key));
  if (revoked !== undefined) return { kind: 'revoked', origin: revoked.origin };
  const plain = own.filter((line) => line.marker === undefined);
  if (plain.some((line) => line.key.equals(key))) return { kind: 'known' };
  const changed = plain.find((line) => line.keyType === typeOfKey(key));
  if (changed !== undefined) return { kind: 'changed', origin: changed.origin };
  return {
    kind: 'unknown',
    otherTypes: [...new Set(plain.map((line) => line.keyType))],
    authority: own.find((line) => line.marker === 'cert-authority')?.origin,
  };
}

/** Types of the keys by which a host is known, those for its port first. */
export function knownKeyTypes(lines: readonly KnownHostLine[], host: string, port: number): string[] {
  const names = [knownHostName(host, port), knownHostName(host, 22)];
  const found = names.flatMap((name) => lines.filter((line) => !line.marker && matchesName(line.names, name)));
  return [...new Set(found.map((line) => line.keyType))];
}

/** Whether the first field of a line means a host; a negated pattern that matches takes the whole line out. */
export function matchesName(names: string, name: string): boolean {
  if (names.startsWith('|')) return matchesHash(names, name);
  let isMatch = false;
  for (const pattern of names.toLowerCase().split(',')) {
    if (pattern.startsWith('!') ? matchesPattern(pattern.slice(1), name) : false) return false;
    isMatch ||= matchesPattern(pattern, name);
  }
  return isMatch;
}

/** `|1|salt|HMAC-SHA1 of the name` */
function matchesHash(names: string, name: string): boolean {
  const [, version, salt, hash, ...rest] = names.split('|');
  if (version !== '1' || salt === undefined || hash === undefined || rest.length > 0) return false;
  const expected = Buffer.from(hash, 'base64');
  const found = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
  return expected.length === found.length && timingSafeEqual(expected, found);
}

/** `*` and `?` as in file names, and nothing else is special; in time that grows with the product of the lengths. */
function matchesPattern(pattern: string, name: string): boolean {
  let [at, star, starAt] = [0, -1, 0];
  let position = 0;
  while (position < name.length) {
    if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[position]) && pattern[at] !== '*') {
      at += 1;
      position += 1;
    } else if (pattern[at] === '*') {
      [star, starAt] = [at, position];
      at += 1;
    } else if (star >= 0) {
      starAt += 1;
      [at, position] = [star + 1, starAt];
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
