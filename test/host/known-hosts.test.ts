/** known_hosts is read as OpenSSH reads it: its own `ssh-keygen -F` and `-H` are the judges. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judgeHostKey, knownKeyTypes, matchesName, parseKnownHosts } from '../../src/host/known-hosts.ts';
import { hostKeyAlgorithms } from '../../src/host/ssh-connection.ts';

const directory = mkdtempSync(join(tmpdir(), 'cxm-known-'));
const hasKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined;

/** `type base64` of a new key. */
function makeKey(type: string): string {
  const file = join(directory, `key-${Math.random()}`);
  execFileSync('ssh-keygen', ['-q', '-t', type, ...(type === 'rsa' ? ['-b', '2048'] : []), '-N', '', '-f', file]);
  return readFileSync(`${file}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
}

const blob = (key: string): Buffer => Buffer.from(key.split(' ')[1] ?? '', 'base64');

describe.skipIf(!hasKeygen)('a key of a host', () => {
  let ours: string;
  let other: string;
  let rsa: string;
  beforeAll(() => {
    [ours, other, rsa] = [makeKey('ed25519'), makeKey('ed25519'), makeKey('rsa')];
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const judge = (text: string, host = 'node1', port = 22, key = ours) =>
    judgeHostKey(parseKnownHosts(text, 'known_hosts'), host, port, blob(key));

  test('is known when it stands there, by any of the names, whatever else the line has', () => {
    for (const names of ['node1', 'NODE1', 'a,node1,10.0.0.1', 'n?de*', '*,!other', '*']) {
      expect(judge(`# comment\n\n${names} ${ours} root@somewhere else\n`).kind, names).toBe('known');
    }
    expect(judge(`node1\t${ours.replace(' ', '\t')}\r\n`).kind).toBe('known');
  });

  test('is unknown when only others are there, and their types are told', () => {
    expect(judge('')).toEqual({ kind: 'unknown', otherTypes: [], authority: undefined });
    expect(judge(`node2 ${ours}`).kind).toBe('unknown');
    expect(judge(`*,!node1 ${ours}`).kind).toBe('unknown');
    expect(judge(`!node1,* ${ours}`).kind).toBe('unknown');
    expect(judge(`node1 ${rsa}`)).toMatchObject({ kind: 'unknown', otherTypes: ['ssh-rsa'] });
  });

  test('has changed when another of its type is there', () => {
    expect(judge(`node2 ${ours}\nnode1 ${other}`)).toEqual({ kind: 'changed', origin: 'known_hosts, line 2' });
    expect(judge(`node1 ${other}\nnode1 ${ours}`).kind).toBe('known');
  });

  test('is revoked wherever it also stands', () => {
    for (const text of [`@revoked * ${ours}\nnode1 ${ours}`, `node1 ${ours}\n@revoked node1 ${ours}`]) {
      expect(judge(text).kind, text).toBe('revoked');
    }
    expect(judge(`node1 ${ours}\n@revoked * ${other}`).kind).toBe('known');
    expect(judge(`node1 ${ours}\n@revoked [node1]:2222 ${ours}`, 'node1', 2222).kind).toBe('revoked');
    expect(judge(`[node1]:2222 ${ours}\n@revoked node1 ${ours}`, 'node1', 2222).kind).not.toBe('unknown');
  });

  test('is not known by an authority, which is told', () => {
    expect(judge(`@cert-authority * ${ours}`)).toMatchObject({ kind: 'unknown', authority: 'known_hosts, line 1' });
  });

  test('at another port is known by name and port, or by the name alone', () => {
    expect(judge(`[node1]:2222 ${ours}`, 'node1', 2222).kind).toBe('known');
    expect(judge(`[node1]:2222 ${ours}`, 'node1', 22).kind).toBe('unknown');
    expect(judge(`node1 ${ours}`, 'node1', 2222).kind).toBe('known');
    expect(judge(`node1 ${other}`, 'node1', 2222).kind).toBe('unknown');
    expect(judge(`node1 ${ours}\n[node1]:2222 ${other}`, 'node1', 2222).kind).toBe('changed');
  });

  test('that is known is asked for first, and SHA-1 never', () => {
    const lines = parseKnownHosts(`node1 ${rsa}\n@revoked node1 ${other}\n@cert-authority node1 ${other}`, 'x');
    expect(knownKeyTypes(lines, 'node1', 22)).toEqual(['ssh-rsa']);
    expect(hostKeyAlgorithms(['ssh-rsa']).slice(0, 3)).toEqual(['rsa-sha2-512', 'rsa-sha2-256', 'ssh-ed25519']);
    expect(hostKeyAlgorithms(['ssh-dss', 'sk-ssh-ed25519@openssh.com'])).toEqual(hostKeyAlgorithms([]));
    expect(hostKeyAlgorithms([])).not.toContain('ssh-rsa');
  });

  test('is found by ssh-keygen and by us in the same lines, hashed or not', () => {
    const names = ['node1', 'node10', '[node1]:2222', 'xen.example.org', '10.0.0.1', 'fe80::1', '[fe80::1]:22'];
    const patterns = ['*', 'n*1', '!node1', '?ode1', '*.example.org', '10.0.0.?', 'NODE1', '[node1]:*', ''];
    const field = fc.array(fc.constantFrom(...names, ...patterns), { minLength: 1, maxLength: 4 });
    const file = join(directory, 'known');
    const hosts = fc.array(field, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(hosts, fc.constantFrom(...names), fc.boolean(), (lines, name, isHashed) => {
        writeFileSync(file, lines.map((words) => `${words.join(',')} ${ours}\n`).join(''));
        if (isHashed) spawnSync('ssh-keygen', ['-H', '-f', file]);
        const { status } = spawnSync('ssh-keygen', ['-F', name, '-f', file]);
        const found = parseKnownHosts(readFileSync(file, 'utf8'), file).some((line) => matchesName(line.names, name));
        expect(found, readFileSync(file, 'utf8')).toBe(status === 0);
      }),
      { numRuns: 200 },
    );
  });

  test('is never found through a line that is none, and no line is too much', () => {
    for (const text of [
      `node1`,
      `node1 ssh-ed25519`,
      `node1 ssh-rsa ${ours.split(' ')[1]}`,
      `@other node1 ${ours}`,
      `@revoked`,
      `|1|x ${ours}`,
      `|2|a|b ${ours}`,
      `|1|YQ==|YQ== ${ours}`,
    ]) {
      expect(judge(text).kind, text).toBe('unknown');
    }
    const hostile = `${'*a'.repeat(2000)} ${ours}\n`.repeat(20);
    const from = performance.now();
    expect(judge(hostile, 'a'.repeat(250)).kind).toBe('unknown');
    expect(performance.now() - from).toBeLessThan(10_000);
    fc.assert(fc.property(fc.string(), (text) => void judge(text)));
  });
});
