import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bulkCiphers } from '../../src/agent/ciphers.ts';
import { localCommands, type Commands } from '../../src/host/commands.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'cxm-ciphers-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The real ssh, of an account whose configuration is this. */
function configured(text: string): Commands {
  const file = join(root, 'config');
  writeFileSync(file, text);
  return {
    run: (program, args, options) =>
      localCommands.run(program, args.includes('-F') ? args : ['-F', file, ...args], options),
  };
}

describe('the ciphers of a large transfer', () => {
  test('are AES-GCM first, then all that ssh knows, where nothing is configured', async () => {
    const { stdout } = await localCommands.run('ssh', ['-G', '-F', 'none', 'host']);
    const builtIn = /^ciphers (.+)$/m.exec(stdout)?.[1]?.split(',') ?? [];
    const found = (await bulkCiphers(configured('Host other\n  Ciphers aes256-ctr\n'), 'host')) ?? [];
    expect(found[0]).toBe('aes128-gcm@openssh.com');
    expect([...found].sort()).toEqual([...builtIn].sort());
  });

  test.each(['Ciphers aes256-gcm@openssh.com', 'Ciphers -aes128-gcm@openssh.com', 'Host h*\n  Ciphers ^aes256-ctr'])(
    'are those of the administrator: %j',
    async (text) => {
      expect(await bulkCiphers(configured(`${text}\n`), 'host')).toBeUndefined();
    },
  );

  test('are left alone where ssh does not answer', async () => {
    const broken: Commands = { run: (_, args) => localCommands.run('ssh', ['-o', 'Nonsense', ...args]) };
    expect(await bulkCiphers(broken, 'host')).toBeUndefined();
  });
});
