/** What the administrator's ssh_config says is what ssh itself makes of it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { askSsh, parseSshSettings } from '../../src/host/ssh-settings.ts';

const own = { home: '/home/me', user: 'me', host: 'here.example.org', uid: 7 };
const directory = mkdtempSync(join(tmpdir(), 'cxm-settings-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function config(text: string): string {
  const file = join(directory, `config-${Math.random()}`);
  writeFileSync(file, text);
  return file;
}

describe.skipIf(spawnSync('ssh', ['-V']).error !== undefined)('ssh_config', () => {
  test('is followed through patterns, negation, Include and Match, the first word of a key counting', async () => {
    const included = config('Host node?\n  HostName %h.san.example.org\n  Port 2222\n');
    const configFile = config(`
Include ${included}
Host * !node2
  User admin
Match host *.san.example.org
  IdentityFile ~/.ssh/cluster
  IdentityFile "/etc/keys/%n"
Host node1 node2
  Port 99
  UserKnownHostsFile /etc/one /etc/two
  GlobalKnownHostsFile /dev/null
  ConnectTimeout 3
  HostKeyAlias SAN
  IdentitiesOnly yes
  AddressFamily inet
`);
    expect(await askSsh({ node: 'node1', configFile })).toMatchObject({
      node: 'node1',
      hostName: 'node1.san.example.org',
      port: 2222,
      user: 'admin',
      identityFiles: [expect.stringMatching(/^\/.*\/\.ssh\/cluster$/), '/etc/keys/node1'],
      knownHostsFiles: ['/etc/one', '/etc/two'],
      connectTimeoutMs: 3000,
      hostKeyAlias: expect.stringMatching(/^san$/i) as string,
      identitiesOnly: true,
      addressFamily: 'inet',
    });
    expect(await askSsh({ node: 'node1', configFile, user: 'root' })).toMatchObject({ user: 'root' });
    expect(await askSsh({ node: 'node2', configFile })).not.toMatchObject({ user: 'admin' });
  });

  test('without a word for a node leaves the usual', async () => {
    const settings = await askSsh({ node: 'node1', configFile: '/dev/null' });
    expect(settings).toMatchObject({
      hostName: 'node1',
      port: 22,
      hostKeyAlias: undefined,
      connectTimeoutMs: undefined,
    });
    expect(settings.identityFiles.join(' ')).toMatch(/\/\.ssh\/id_rsa .*\/\.ssh\/id_ed25519/);
    expect(settings.knownHostsFiles.join(' ')).toMatch(/\/\.ssh\/known_hosts .*\/etc\/ssh\/ssh_known_hosts/);
  });

  test.each([
    ['ProxyJump', 'bastion'],
    ['ProxyCommand', 'nc %h %p'],
    ['RevokedHostKeys', '/etc/ssh/revoked'],
  ])('with %s is refused, because leaving it out would be wrong', async (key, value) => {
    const configFile = config(`Host node1\n  ${key} ${value}\n`);
    await expect(askSsh({ node: 'node1', configFile })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining(`ssh_config sets ${key} ${value.split(' ')[0]}`) as string,
    });
    await expect(askSsh({ node: 'node2', configFile })).resolves.toMatchObject({ node: 'node2' });
  });

  test('that ssh rejects is an error with its words', async () => {
    await expect(askSsh({ node: 'node1', configFile: config('Nonsense yes\n') })).rejects.toMatchObject({
      code: 'COMMAND',
      message: expect.stringMatching(/nonsense/i) as string,
    });
    await expect(askSsh({ node: 'node1', configFile: '/nowhere' })).rejects.toMatchObject({ code: 'COMMAND' });
  });
});

describe('what ssh prints', () => {
  const parse = (text: string, agent?: string) => parseSshSettings('node1', text, own, agent);

  test('has tokens and the home directory in names of files', () => {
    const text = 'hostname h\nport 23\nuser u\nidentityfile ~/.ssh/%h-%n-%p-%r-%u-%%-%L-%l-%d-%i\nidentityfile none\n';
    expect(parse(text).identityFiles).toEqual(['/home/me/.ssh/h-node1-23-u-me-%-here-here.example.org-/home/me-7']);
  });

  test.each([
    ['', '/run/agent', '/run/agent'],
    ['identityagent SSH_AUTH_SOCK', '/run/agent', '/run/agent'],
    ['identityagent none', '/run/agent', undefined],
    ['identityagent ~/agent', '/run/agent', '/home/me/agent'],
    ['identityagent $NO_SUCH_VARIABLE', '/run/agent', undefined],
    ['', undefined, undefined],
  ])('%j with the agent %s gives the agent %s', (text, agent, expected) => {
    expect(parse(text, agent).agentSocket).toBe(expected);
  });
});
