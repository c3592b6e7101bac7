/** Who is let in, whom we trust, and what is said when it is not so: against a real sshd. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { CommandOptions } from '../../src/host/commands.ts';
import { connectNodes, type NodesOptions } from '../../src/host/nodes.ts';
import { asCxmError, type CxmError } from '../../src/errors.ts';
import { failure } from './failure.ts';
import { freePort, hasNamespaces, hasSshd, makeKey, ordinaryUser, send, startSshd, type Sshd } from './sshd.ts';

/** Runs a program on node1 over a connection of its own. */
async function once(options: NodesOptions, program = 'id', args: readonly string[] = ['-un'], more?: CommandOptions) {
  const nodes = connectNodes(options);
  try {
    return await nodes.node('node1').machine.run(program, args, more);
  } finally {
    nodes.close();
  }
}

describe.skipIf(!hasSshd)('a node', () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd.stop());

  describe('is trusted', () => {
    test.each(['ed25519', 'ecdsa', 'rsa'] as const)('when only its %s key is known', async (type) => {
      await once(sshd.configure({ knownHosts: sshd.hostKey(type) }));
    });

    test('when its key stands there hashed, or under an alias', async () => {
      const options = sshd.configure();
      execFileSync('ssh-keygen', ['-H', '-f', `${options.sshConfigFile}-known`], { stdio: 'ignore' });
      expect(readFileSync(`${options.sshConfigFile}-known`, 'utf8')).toMatch(/^\|1\|/);
      await once(options);
      const knownHosts = sshd.hostKey('ed25519').replace(/^\S+/, 'alias');
      await once(sshd.configure({ knownHosts, lines: ['HostKeyAlias alias'] }));
    });

    test('never with a key that nobody wrote down, whatever ssh_config says', async () => {
      for (const strict of ['yes', 'ask', 'accept-new', 'no']) {
        const options = sshd.configure({ knownHosts: '', lines: [`StrictHostKeyChecking ${strict}`] });
        const error = await failure(once(options));
        expect(error).toMatchObject({ code: 'HOST_KEY', changed: 'nothing' });
        expect(error.message).toContain(`key of node1 ([127.0.0.1]:${sshd.port}) is not in known_hosts`);
        expect(error.hint).toContain(`ssh-keyscan -p ${sshd.port} 127.0.0.1`);
        expect(readFileSync(`${options.sshConfigFile}-known`, 'utf8')).toBe('');
      }
    });

    test('not with a key that has changed', async () => {
      makeKey(join(sshd.directory, 'stranger'), 'ed25519');
      const [type, key] = readFileSync(join(sshd.directory, 'stranger.pub'), 'utf8').split(' ');
      const error = await failure(once(sshd.configure({ knownHosts: `[127.0.0.1]:${sshd.port} ${type} ${key}\n` })));
      expect(error.code).toBe('HOST_KEY');
      expect(error.message).toContain(`the ssh-ed25519 key of node1 ([127.0.0.1]:${sshd.port}) is not the one in`);
      expect(error.message).toMatch(/-known, line 1$/);
      expect(error.hint).toContain(`ssh-keygen -R '[127.0.0.1]:${sshd.port}'`);
    });

    test('not with a key that is revoked', async () => {
      const known = sshd.hostKey('ed25519');
      const error = await failure(
        once(sshd.configure({ knownHosts: `${known}@revoked * ${known.split(' ').slice(1).join(' ')}` })),
      );
      expect(error.code).toBe('HOST_KEY');
      expect(error.message).toContain('is revoked in');
    });

    test('not by an authority alone, which is said', async () => {
      const key = sshd.hostKey('ed25519').split(' ').slice(1).join(' ');
      const error = await failure(once(sshd.configure({ knownHosts: `@cert-authority * ${key}` })));
      expect(error.code).toBe('HOST_KEY');
      expect(error.message).toContain('names a certificate authority, but cxm checks no host certificates');
    });

    test('not with known hosts that can not be read', async () => {
      const options = sshd.configure({ lines: [`UserKnownHostsFile ${sshd.directory}`] });
      expect(await failure(once(options))).toMatchObject({ code: 'HOST_KEY' });
    });
  });

  describe('lets us in', () => {
    const authorize = (name: string): void =>
      appendFileSync(join(sshd.directory, 'authorized_keys'), readFileSync(join(sshd.directory, `${name}.pub`)));
    const key = (name: string, type: string, passphrase = '', isAuthorized = true): string => {
      const file = join(sshd.directory, name);
      if (!existsSync(file)) makeKey(file, type, passphrase);
      if (isAuthorized) authorize(name);
      return file;
    };
    let agent: { readonly process: ChildProcess; readonly socket: string } | undefined;
    const startAgent = async (...files: string[]): Promise<string> => {
      const socket = join(sshd.directory, `agent-${Math.random()}`);
      agent = { socket, process: spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' }) };
      const env = { ...process.env, SSH_AUTH_SOCK: socket };
      // The socket is there before anybody listens.
      while (spawnSync('ssh-add', ['-l'], { env }).status === 2) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      for (const file of files) execFileSync('ssh-add', ['-q', file], { env, stdio: 'ignore' });
      return socket;
    };
    afterEach(() => {
      agent?.process.kill();
      agent = undefined;
    });

    test.each(['ed25519', 'ecdsa', 'rsa'])('with a file of type %s, in either format', async (type) => {
      const file = key(`user-${type}`, type);
      await once(sshd.configure({ lines: [`IdentityFile ${file}`] }));
      if (type === 'ed25519') return;
      execFileSync('ssh-keygen', ['-p', '-q', '-m', 'PEM', '-N', '', '-P', '', '-f', file]);
      expect(readFileSync(file, 'utf8')).toMatch(/^-----BEGIN (RSA|EC) PRIVATE KEY/);
      await once(sshd.configure({ lines: [`IdentityFile ${file}`] }));
    });

    test('with the second file when the first is not the one', async () => {
      const wrong = key('wrong', 'ed25519', '', false);
      await once(
        sshd.configure({ lines: [`IdentityFile ${wrong}`, 'IdentityFile /nowhere', `IdentityFile ${sshd.identity}`] }),
      );
    });

    test.each(['ed25519', 'rsa', 'ecdsa'])('with a key of type %s that only the agent has', async (type) => {
      const file = key(`agent-${type}`, type);
      const socket = await startAgent(file);
      const lines = [`IdentityAgent ${socket}`, 'IdentitiesOnly no', 'IdentityFile /nowhere'];
      await once(sshd.configure({ lines }));
    });

    test('with an encrypted file through the agent, also when it has many others', async () => {
      const others = Array.from({ length: 8 }, (_, index) => key(`other-${index}`, 'ed25519', '', false));
      makeKey(join(sshd.directory, 'secret'), 'ed25519');
      authorize('secret');
      const file = join(sshd.directory, 'secret');
      const socket = await startAgent(...others, file);
      execFileSync('ssh-keygen', ['-p', '-q', '-N', 'passphrase', '-P', '', '-f', file]);
      await once(sshd.configure({ lines: [`IdentityAgent ${socket}`, `IdentityFile ${file}`] }));
      // The one that ssh_config names goes first, or sshd would have had enough before it.
      await once(sshd.configure({ lines: [`IdentityAgent ${socket}`, 'IdentitiesOnly no', `IdentityFile ${file}`] }));
      const none = sshd.configure({ lines: [`IdentityAgent ${socket}`, 'IdentitiesOnly no', 'IdentityFile /nowhere'] });
      const error = await failure(once(none));
      expect(error).toMatchObject({ code: 'ACCESS_DENIED' });
      expect(error.message).toContain('9 keys of the agent');
    });

    test('not with a key of the agent that ssh_config does not name, when it wants only those', async () => {
      const file = key('not-named', 'ed25519');
      const unknown = key('not-known', 'ed25519', '', false);
      const agentLine = `IdentityAgent ${await startAgent(file)}`;
      await once(sshd.configure({ lines: [agentLine, 'IdentitiesOnly no'], identity: unknown }));
      const error = await failure(once(sshd.configure({ lines: [agentLine], identity: unknown })));
      expect(error).toMatchObject({ code: 'ACCESS_DENIED' });
    });

    test('not with an encrypted file alone, and the way out is told', async () => {
      const file = key('encrypted', 'ed25519', 'passphrase');
      const error = await failure(once(sshd.configure({ identity: file })));
      expect(error).toMatchObject({ code: 'ACCESS_DENIED', changed: 'nothing' });
      expect(error.message).toContain(`${file}, which is encrypted, and no agent has it (ssh-add ${file})`);
    });

    test('not with a key that it does not know, and what was tried is told', async () => {
      const file = key('unknown', 'ed25519', '', false);
      const error = await failure(once(sshd.configure({ identity: file })));
      expect(error.code).toBe('ACCESS_DENIED');
      expect(error.message).toMatch(new RegExp(`^node1 .* does not let \\S+ in over ssh: tried ${file}$`));
    });

    test('not with a file that others may read, nor one that is no key', async () => {
      const open = key('open', 'ed25519');
      chmodSync(open, 0o644);
      const nonsense = join(sshd.directory, 'nonsense');
      writeFileSync(nonsense, 'no key', { mode: 0o600 });
      const options = sshd.configure({ lines: [`IdentityFile ${open}`], identity: nonsense });
      const { message } = await failure(once(options));
      expect(message).toContain(`${open}, which others may read (chmod 600 ${open})`);
      expect(message).toContain(`${nonsense}, which can't be used`);
    });

    test('though the agent is dead or does not answer', async () => {
      await once(sshd.configure({ lines: ['IdentityAgent /nowhere'] }));
      const socket = await startAgent();
      agent?.process.kill('SIGSTOP');
      try {
        await once(sshd.configure({ lines: [`IdentityAgent ${socket}`] }));
      } finally {
        agent?.process.kill('SIGCONT');
      }
    });
  });

  describe('that can not be reached', () => {
    const servers: Server[] = [];
    const sockets: Socket[] = [];
    afterEach(() => {
      for (const socket of sockets.splice(0)) socket.destroy();
      for (const server of servers.splice(0)) server.close();
    });
    /** Something else at a port. */
    const serve = async (talk: (socket: Socket) => void): Promise<NodesOptions> => {
      const port = await freePort();
      const server = createServer((socket) => {
        sockets.push(socket.on('error', () => undefined));
        talk(socket);
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
      return sshd.configure({ lines: [`Port ${port}`] });
    };
    const unreachable = { code: 'HOST_UNREACHABLE', changed: 'nothing' };

    test('because nobody listens, says so at once, and is tried anew', async () => {
      const port = await freePort();
      const nodes = connectNodes(sshd.configure({ lines: [`Port ${port}`] }));
      const { machine: commands } = nodes.node('node1');
      const errors = await Promise.all([failure(commands.run('true', [])), failure(commands.run('true', []))]);
      for (const error of errors) {
        expect(error).toMatchObject(unreachable);
        expect(error.message).toContain(`node1 (127.0.0.1, port ${port}) can't be reached over ssh`);
        expect(error.message).toContain('ECONNREFUSED');
        expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' });
      }
      expect(await failure(commands.run('true', []))).toMatchObject(unreachable);
      nodes.close();
    });

    test('because its name is unknown, says so', async () => {
      const error = await failure(once(sshd.configure({ lines: ['HostName no-such-host.invalid'] })));
      expect(error).toMatchObject(unreachable);
    });

    test.each([
      ['never speaks', () => undefined],
      ['speaks very slowly', (socket: Socket) => void setInterval(() => socket.write('x'), 100).unref()],
      ['stops after its greeting', (socket: Socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n')],
    ])('because it %s, is given up in time', async (_what, talk: (socket: Socket) => void) => {
      const options = await serve(talk);
      const from = performance.now();
      const error = await failure(once({ ...options, connectTimeoutMs: 700 }));
      expect(performance.now() - from).toBeLessThan(8000);
      expect(error).toMatchObject(unreachable);
      expect(error.message).toContain('within 700 ms');
      // It has power: that is not the silence of a machine without it.
      expect(error.cause).toBeUndefined();
    });

    test.each([
      ['hangs up', (socket: Socket) => void socket.destroy()],
      ['is no ssh', (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
      ['talks nonsense', (socket: Socket) => void socket.write(`SSH-2.0-x\r\n${'\xff'.repeat(5000)}`, 'latin1')],
    ])('because it %s, says so', async (_what, talk: (socket: Socket) => void) => {
      expect(await failure(once(await serve(talk)))).toMatchObject(unreachable);
    });

    test('because sshd is frozen, is given up in time; ssh_config has the last word on how long', async () => {
      sshd.process.kill('SIGSTOP');
      const listener = sshd.sessions();
      for (const pid of listener) send(pid, 'SIGSTOP');
      try {
        const from = performance.now();
        const error = await failure(
          once({ ...sshd.configure({ lines: ['ConnectTimeout 1'] }), connectTimeoutMs: 60_000 }),
        );
        expect(error).toMatchObject(unreachable);
        expect(performance.now() - from).toBeLessThan(20_000);
      } finally {
        for (const pid of listener) send(pid, 'SIGCONT');
        sshd.process.kill('SIGCONT');
      }
    });

    test('because of a jump host, says that this is not possible', async () => {
      const error = await failure(once(sshd.configure({ lines: ['ProxyJump bastion'] })));
      expect(error).toMatchObject({ code: 'UNSUPPORTED' });
      expect(error.message).toContain('ProxyJump bastion for node1');
    });

    test('is no trouble for another one', async () => {
      const nodes = connectNodes(sshd.configure());
      const [error, result] = await Promise.all([
        failure(nodes.node('no-such-host.invalid').machine.run('true', [])),
        nodes.node('node1').machine.run('echo', ['well']),
      ]);
      expect(error).toMatchObject({ code: 'HOST_UNREACHABLE' });
      expect(result.stdout).toBe('well\n');
      nodes.close();
    });
  });
});

const hasSudo = spawnSync('sudo', ['-V']).error === undefined;

describe.skipIf(!hasSshd || !hasNamespaces || !hasSudo)('an ordinary user', () => {
  const servers: Sshd[] = [];
  const start = async (options: Parameters<typeof startSshd>[0]): Promise<Sshd> => {
    const sshd = await startSshd(options);
    servers.push(sshd);
    return sshd;
  };
  afterAll(() => {
    for (const sshd of servers) sshd.stop();
  });

  test('becomes root with sudo, for the program and nothing else', async () => {
    const options = (await start({ sudoers: [`${ordinaryUser} ALL=(root) NOPASSWD: ALL`] })).configure();
    expect((await once(options)).stdout).toBe('root\n');
    expect((await once({ ...options, useSudo: false })).stdout).toBe(`${ordinaryUser}\n`);
    const { stdout } = await once(options, 'sh', ['-c', 'cat; echo "$PATH $LC_ALL"'], { input: 'in ' });
    expect(stdout).toBe('in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin C\n');
    expect(
      (await once(options, 'sh', ['-c', 'kill -9 $$'], { okExitCodes: [9] }).catch(asCxmError)) as CxmError,
    ).toMatchObject({
      message: expect.stringContaining('a signal') as string,
    });
    const error = await failure(once(options, 'sleep', ['63.5'], { timeoutMs: 4000 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', changed: 'maybe' });
    expect((await once(options, 'pgrep', ['-fc', '^sleep 63.5'], { okExitCodes: [1] })).stdout).toBe('0\n');
  });

  test('whom sudo refuses gets that as an error, never as the answer of the program', async () => {
    const options = (await start({ sudoers: [`${ordinaryUser} ALL=(root) ALL`] })).configure();
    const error = await failure(once(options, 'true', [], { okExitCodes: 'any' }));
    expect(error).toMatchObject({ code: 'COMMAND', changed: 'nothing' });
    expect(error.message).toContain(
      'program true could not be started on node1 (exit code 1): sudo: a password is required',
    );
    expect(error.hint).toContain('sudo and no password');
  });

  test('whose shell chatters does not disturb what programs say', async () => {
    const bashrc = 'echo "Welcome to $(hostname)"; echo trouble >&2\n';
    const options = (await start({ sudoers: [], bashrc })).configure();
    const result = await once({ ...options, useSudo: false }, 'sh', ['-c', 'echo out; echo err >&2']);
    expect(result).toEqual({ stdout: 'out\n', stderr: 'err\n', exitCode: 0 });
  });

  test('whose shell hangs at its start runs nothing, neither then nor later', async () => {
    const sshd = await start({ sudoers: [], bashrc: 'sleep 3\n' });
    mkdirSync(join(sshd.directory, 'late'));
    chmodSync(join(sshd.directory, 'late'), 0o777);
    const options = { ...sshd.configure(), useSudo: false };
    const nodes = connectNodes(options);
    const { machine: commands } = nodes.node('node1');
    const late = join(sshd.directory, 'late/file');
    const error = await failure(commands.run('touch', [late], { timeoutMs: 1000 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', changed: 'nothing' });
    expect(error.message).toContain('was not started by the login shell on node1 within 1000 ms');
    const running = failure(commands.run('touch', [late], { timeoutMs: 20_000 }));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    nodes.close();
    expect(await running).toMatchObject({ code: 'HOST_UNREACHABLE', changed: 'nothing' });
    await new Promise((resolve) => setTimeout(resolve, 4000));
    expect(existsSync(late)).toBe(false);
  });
});
