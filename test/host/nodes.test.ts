/** Programs on another node over one connection: the same meaning as here, and an end to everything. */
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { localCommands, type CommandOptions } from '../../src/host/commands.ts';
import { connectNodes, type Nodes, type NodesOptions } from '../../src/host/nodes.ts';
import { failure } from './failure.ts';
import { hasSshd, send, startSshd, type Sshd } from './sshd.ts';

/** How many processes of this machine are `sleep SECONDS`. */
async function sleepers(seconds: string): Promise<number> {
  const { stdout } = await localCommands.run('pgrep', ['-fc', `^sleep ${seconds}$`], { okExitCodes: [0, 1] });
  return Number(stdout);
}

const patient = { timeout: 10_000 };

async function timed<T>(promise: Promise<T>): Promise<{ value: T; ms: number }> {
  const from = performance.now();
  const value = await promise;
  return { value, ms: performance.now() - from };
}

describe.skipIf(!hasSshd)('over ssh', () => {
  let sshd: Sshd;
  let nodes: Nodes;
  const run = (program: string, args: readonly string[], options?: CommandOptions) =>
    nodes.node('node1').machine.run(program, args, options);
  const sh = (script: string, options?: CommandOptions) => run('sh', ['-c', script], options);

  /** Waits until the process has ended whose id is in a file. */
  async function gone(pidFile: string): Promise<void> {
    const look = () => sh(`kill -0 $(cat ${pidFile})`, { okExitCodes: 'any' }).then(({ exitCode }) => exitCode);
    await expect.poll(look, patient).not.toBe(0);
  }

  /** With connections of its own. */
  async function withNodes<T>(more: Partial<NodesOptions>, body: (own: Nodes) => Promise<T>): Promise<T> {
    const own = connectNodes({ ...sshd.configure(), ...more });
    try {
      return await body(own);
    } finally {
      own.close();
    }
  }

  beforeAll(async () => {
    sshd = await startSshd();
    nodes = connectNodes(sshd.configure());
  });
  afterAll(() => {
    nodes.close();
    sshd.stop();
  });

  describe('a program', () => {
    test('gives output, messages and exit code as they are', async () => {
      const result = await sh('printf "a\\n\\n"; echo b >&2; exit 3', { okExitCodes: [0, 3] });
      expect(result).toEqual({ stdout: 'a\n\n', stderr: 'b\n', exitCode: 3 });
    });

    test('gets an input of any length, and an empty one when none is given', async () => {
      const input = Buffer.alloc(5_000_000, 'xyz\n');
      const [there, here] = await Promise.all([
        run('md5sum', [], { input }),
        localCommands.run('md5sum', [], { input }),
      ]);
      expect(there.stdout).toBe(here.stdout);
      for (const options of [{}, { input: '' }, { input: new Uint8Array(0) }]) {
        expect((await run('wc', ['-c'], { ...options, timeoutMs: 5000 })).stdout.trim()).toBe('0');
      }
    });

    test('may end without reading its input', async () => {
      expect((await run('true', [], { input: Buffer.alloc(8_000_000) })).exitCode).toBe(0);
    });

    test('may say much', async () => {
      const { stdout } = await run('head', ['-c', '20000000', '/dev/zero']);
      expect(stdout.length).toBe(20_000_000);
    });

    test('speaks English, finds the programs of system administrators, and sees what is added', async () => {
      const { stdout } = await sh('echo "$LC_ALL|$ADDED|$PATH"', { env: { ADDED: "it's" } });
      expect(stdout).toBe("C|it's|/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
      await withNodes({ path: '/opt/a b' }, async (own) => {
        const found = await own.node('node1').machine.run('sh', ['-c', 'echo "$PATH"']);
        expect(found.stdout).toMatch(/^\/opt\/a b:\/usr\/local\/sbin:/);
      });
    });

    test('gets its arguments byte for byte, whatever they are', async () => {
      const word = fc.oneof(
        fc.string({ unit: 'binary', maxLength: 30 }),
        fc.string({ unit: 'grapheme', maxLength: 10 }),
        fc.stringMatching(/^[ \n\t'"\\$`!*?[\]{}();&|<>~#=-]{0,12}$/),
        fc.constantFrom('', '-n', '--', '$(id)', '`id`', "'", "''", '\\', '\n', 'a\nb\n', '!!', '~', '%s', 'A=b', 'ä'),
      );
      const legal = word.map((text) => text.replaceAll('\0', '').replace(/\p{Surrogate}/gu, ''));
      await fc.assert(
        fc.asyncProperty(fc.array(legal, { maxLength: 20 }), async (args) => {
          const { stdout } = await run('printf', ['%s\\0', 'first', ...args]);
          expect(stdout.split('\0').slice(1, -1)).toEqual(args);
        }),
        { numRuns: 60 },
      );
    });

    test('is refused when its arguments can not be sent whole', async () => {
      expect(await failure(run('echo', ['a\0b']))).toMatchObject({ code: 'INVALID_INPUT', changed: 'nothing' });
      expect(await failure(run('echo', ['x'.repeat(140_000)]))).toMatchObject({ code: 'INVALID_INPUT' });
      expect(await failure(run('-x', []))).toMatchObject({ code: 'INVALID_INPUT' });
      expect((await run('echo', ['x'.repeat(120_000)])).stdout.length).toBe(120_001);
    });
  });

  describe('a failure is one error that names node and command', () => {
    test('for an exit code that nobody asked for', async () => {
      expect(await failure(sh('echo why >&2; exit 7'))).toMatchObject({
        code: 'COMMAND',
        message: 'sh -c echo why >&2; exit 7 on node1 ended with exit code 7: why',
        changed: 'maybe',
      });
    });

    test('for a signal, even where any exit code is an answer', async () => {
      expect((await failure(sh('kill -9 $$', { okExitCodes: 'any' }))).message).toContain(
        'on node1 ended with a signal',
      );
    });

    test('for a program that is missing, even where any exit code is an answer', async () => {
      const error = await failure(run('no-such-program', [], { okExitCodes: 'any' }));
      expect(error).toMatchObject({ code: 'COMMAND', message: 'program no-such-program is missing on node1' });
      expect((await run('sh', ['-c', 'exit 127'], { okExitCodes: 'any' })).exitCode).toBe(127);
    });

    test('for more output than anybody can want, and the program ends', async () => {
      const error = await failure(sh(`echo $$ >${sshd.directory}/yes; exec yes`));
      expect(error.message).toContain('said more than');
      await gone(`${sshd.directory}/yes`);
    });

    test('for a name that is none', () => {
      for (const name of ['-oProxyCommand=id', 'a b', '', '../x', 'a\nb', 'a;b']) {
        expect(() => nodes.node(name), name).toThrow('is no name of a node');
      }
    });
  });

  describe('a program that takes too long', () => {
    test('is ended over there, with all it has started, and the error says so', async () => {
      const { value, ms } = await timed(failure(sh('echo $$; sleep 61.7 & sleep 61.8', { timeoutMs: 2000 })));
      expect(value).toMatchObject({ code: 'TIMEOUT', changed: 'maybe' });
      expect(value.message).toContain('on node1 did not end within 2000 ms');
      expect(ms).toBeLessThan(6500);
      expect((await run('pgrep', ['-f', '^sleep 61.[78]'], { okExitCodes: [0, 1] })).stdout).toBe('');
    });

    test('is killed when it will not end', async () => {
      const { value, ms } = await timed(failure(sh('trap "" TERM; while :; do sleep 0.05; done', { timeoutMs: 2000 })));
      expect(value.code).toBe('TIMEOUT');
      expect(ms).toBeGreaterThan(6500);
      expect(ms).toBeLessThan(9200);
    });

    test('is given up here when the other side does not end it, and others are not held up', async () => {
      // What has left the group of processes is not reached by timeout, and holds the output open.
      const running = timed(failure(sh('setsid sleep 20', { timeoutMs: 300 })));
      expect((await timed(run('true', []))).ms).toBeLessThan(6000);
      const { value, ms } = await running;
      expect(value.code).toBe('TIMEOUT');
      expect(ms).toBeLessThan(9000);
    }, 15_000);

    test('that ends by itself with the exit code of timeout is no timeout', async () => {
      expect((await sh('exit 124', { okExitCodes: 'any' })).exitCode).toBe(124);
    });

    test('goes on no longer than its deadline when we are gone', async () => {
      await withNodes({}, async (own) => {
        const running = failure(own.node('node1').machine.run('sleep', ['62.5'], { timeoutMs: 6000 }));
        await expect.poll(() => sleepers('62.5'), patient).toBe(1);
        own.close();
        expect(await running).toMatchObject({ code: 'HOST_UNREACHABLE', changed: 'maybe' });
      });
      expect(await sleepers('62.5')).toBe(1);
      await expect.poll(() => sleepers('62.5'), patient).toBe(0);
    });
  });

  describe('many programs', () => {
    test('at once take one connection', async () => {
      const before = sshd.log().split('Accepted publickey').length;
      await withNodes({}, async (own) => {
        const { machine: commands } = own.node('node1');
        const all = Array.from({ length: 50 }, (_, index) =>
          commands.run('sh', ['-c', 'cat; sleep 0.1; echo "$1" >&2', 'sh', String(index)], { input: `in ${index}` }),
        );
        const results = await Promise.all(all);
        expect(results.map(({ stdout }) => stdout)).toEqual(all.map((_, index) => `in ${index}`));
        expect(results.map(({ stderr }) => stderr)).toEqual(all.map((_, index) => `${index}\n`));
      });
      expect(sshd.log().split('Accepted publickey').length).toBe(before + 1);
    });

    test('wait their turn, but no longer than their deadline', async () => {
      await withNodes({}, async (own) => {
        const { machine: commands } = own.node('node1');
        const long = Array.from({ length: 8 }, () => commands.run('sleep', ['2']));
        const error = await failure(commands.run('true', [], { timeoutMs: 500 }));
        expect(error).toMatchObject({ code: 'TIMEOUT', changed: 'nothing' });
        expect(error.message).toContain('node1 was busy');
        expect((await commands.run('echo', ['then'])).stdout).toBe('then\n');
        await Promise.all(long);
      });
    });

    test.each([1, 2, 5])('run where sshd allows only %d at once', async (limit) => {
      const narrow = await startSshd({ config: [`MaxSessions ${limit}`] });
      const own = connectNodes(narrow.configure());
      try {
        const { machine: commands } = own.node('node1');
        const all = Array.from({ length: 30 }, (_, index) => commands.run('echo', [String(index)]));
        expect((await Promise.all(all)).map(({ stdout }) => Number(stdout))).toEqual(all.map((_, index) => index));
        for (let index = 0; index < 10; index += 1) await commands.run('true', []);
      } finally {
        own.close();
        narrow.stop();
      }
    });

    test('fail one by one where sshd allows none', async () => {
      const closed = await startSshd({ config: ['MaxSessions 0'] });
      const own = connectNodes(closed.configure());
      try {
        const error = await failure(own.node('node1').machine.run('true', []));
        expect(error).toMatchObject({ code: 'HOST_UNREACHABLE', changed: 'nothing' });
        expect(error.message).toContain('opens no channel');
      } finally {
        own.close();
        closed.stop();
      }
    });
  });

  describe('a connection that dies', () => {
    const died = { code: 'HOST_UNREACHABLE', changed: 'maybe' };

    test('fails everything that runs over it at once, and the next call opens a new one', async () => {
      await withNodes({}, async (own) => {
        const { machine: commands } = own.node('node1');
        await commands.run('true', []);
        const running = Array.from({ length: 12 }, () => failure(commands.run('sleep', ['64.25'])));
        await expect.poll(() => sleepers('64.25'), patient).toBe(8);
        const { value, ms } = await timed(
          (async () => {
            killSessions(sshd);
            return Promise.all(running);
          })(),
        );
        expect(ms).toBeLessThan(5000);
        for (const error of value.slice(0, 8)) expect(error).toMatchObject(died);
        // Those that waited for their turn have not run.
        for (const error of value.slice(8)) expect(error).toMatchObject({ ...died, changed: 'nothing' });
        expect(value[0]?.message).toContain('connection to node1 is lost');
        expect((await commands.run('echo', ['again'])).stdout).toBe('again\n');
      });
    });

    test('by silence is noticed within seconds', async () => {
      await withNodes({ keepaliveIntervalMs: 500, keepaliveCount: 3 }, async (own) => {
        const { machine: commands } = own.node('node1');
        await commands.run('true', []);
        const running = failure(commands.run('sleep', ['64.5']));
        await expect.poll(() => sleepers('64.5'), patient).toBe(1);
        const frozen = sshd.sessions();
        for (const pid of frozen) send(pid, 'SIGSTOP');
        try {
          const { value, ms } = await timed(Promise.all([running, failure(commands.run('true', []))]));
          expect(value[0]).toMatchObject(died);
          // It has not begun: the other side did not even hear of it.
          expect(value[1]).toMatchObject({ ...died, changed: 'nothing' });
          expect(value[0]?.message).toContain('does not answer any more');
          expect(ms).toBeLessThan(6000);
        } finally {
          for (const pid of frozen) send(pid, 'SIGCONT');
        }
        expect((await commands.run('echo', ['again'])).stdout).toBe('again\n');
      });
    });

    test('while nothing runs is replaced by the next call', async () => {
      await withNodes({}, async (own) => {
        const { machine: commands } = own.node('node1');
        await commands.run('true', []);
        killSessions(sshd);
        await expect.poll(() => sshd.sessions(), patient).toEqual([]);
        await sleep(300);
        expect((await commands.run('echo', ['again'])).stdout).toBe('again\n');
      });
    });

    test('does not come alive by itself, and one that is closed stays closed', async () => {
      const own = connectNodes(sshd.configure());
      const access = own.node('node1');
      await access.machine.run('true', []);
      own.close();
      expect((await failure(access.machine.run('true', []))).message).toContain('was closed');
      expect(() => own.node('node1')).toThrow('after the connections were closed');
    });
  });

  describe('a program that is held', () => {
    const lock = 'exec 9>"$1"; flock -n 9 || exit 75; echo held; exec cat >/dev/null';
    const hold = (own: Nodes, file: string, timeoutMs = 10_000) =>
      own.node('node1').machine.hold('sh', ['-c', lock, 'sh', file], timeoutMs);
    const isFree = async (file: string): Promise<boolean> =>
      (await run('flock', ['-n', file, 'true'], { okExitCodes: [0, 1] })).exitCode === 0;

    test('runs until it is released, and tells who comes second', async () => {
      const file = `${sshd.directory}/lock-1`;
      const held = await hold(nodes, file);
      expect(held?.running).toBe(true);
      expect(await isFree(file)).toBe(false);
      expect(await hold(nodes, file)).toBeUndefined();
      await held?.release();
      expect(held?.running).toBe(false);
      expect(await isFree(file)).toBe(true);
      await (await hold(nodes, file))?.release();
    });

    test('ends with the connection, and is seen to have ended', async () => {
      const file = `${sshd.directory}/lock-2`;
      const held = await hold(nodes, file);
      killSessions(sshd);
      await expect.poll(() => held?.running, patient).toBe(false);
      await held?.release();
      expect(await isFree(file)).toBe(true);
    });

    test('ends when we close', async () => {
      const file = `${sshd.directory}/lock-3`;
      await withNodes({}, async (own) => void (await hold(own, file)));
      await expect.poll(() => isFree(file), patient).toBe(true);
    });

    test('that says nothing in time is given up and ends; one that fails says why', async () => {
      const { machine } = nodes.node('node1');
      const { value, ms } = await timed(
        failure(machine.hold('sh', ['-c', 'echo $$ >"$1"; exec cat', 'sh', pidFile()], 900)),
      );
      expect(value).toMatchObject({ code: 'TIMEOUT' });
      expect(ms).toBeLessThan(8000);
      await gone(pidFile());
      const error = await failure(machine.hold('sh', ['-c', 'echo why >&2; exit 3'], 5000));
      expect(error).toMatchObject({ code: 'COMMAND' });
      expect(error.message).toContain('on node1 ended with exit code 3: why');
      expect((await failure(machine.hold('no-such-program', [], 5000))).message).toContain('is missing on node1');
    });
    const pidFile = (): string => `${sshd.directory}/held-pid`;

    test('takes nothing from those who work under it, however many are held', async () => {
      const files = Array.from({ length: 12 }, (_, index) => `${sshd.directory}/lock-many-${index}`);
      const done = files.map(async (file) => {
        const held = await hold(nodes, file, 20_000);
        for (let index = 0; index < 3; index += 1) await run('true', []);
        await held?.release();
      });
      await Promise.all(done);
    });

    test('is left alone when it will not end', async () => {
      const stubborn = 'echo held; exec sleep 20';
      const held = await nodes.node('node1').machine.hold('sh', ['-c', stubborn], 5000);
      const { ms } = await timed(held?.release() ?? Promise.resolve());
      expect(ms).toBeLessThan(18_000);
    }, 40_000);
  });

  test('this node is reached without ssh', async () => {
    const local = nodes.node('here');
    expect(local.isLocal).toBe(true);
    expect((await local.machine.run('sh', ['-c', 'echo $PPID'])).stdout).toBe(`${process.pid}\n`);
    expect((await local.machine.run('sh', ['-c', 'echo "$PATH"'])).stdout).toContain('/usr/sbin:/usr/bin:/sbin:/bin');
  });
});

/** The processes of sshd's connections, and not the programs that they run. */
function killSessions(sshd: Sshd): void {
  for (const pid of sshd.sessions()) send(pid, 'SIGKILL');
}
