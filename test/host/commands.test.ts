import { describe, expect, test } from 'vitest';
import { localCommands, type CommandOptions } from '../../src/host/commands.ts';

const sh = (script: string, options: CommandOptions = {}) => localCommands.run('sh', ['-c', script], options);

describe('a program that runs to its end', () => {
  test('gives output, messages and exit code as they are, final newlines included', async () => {
    const result = await sh('printf "a\\n\\n"; echo b >&2; exit 3', { okExitCodes: [0, 3] });
    expect(result).toEqual({ stdout: 'a\n\n', stderr: 'b\n', exitCode: 3 });
  });

  test('gets its arguments as they are: no shell sees them', async () => {
    const args = ['$(id)', 'a b', "'", '*', '', '`id`', 'ä'];
    const { stdout } = await localCommands.run('printf', ['%s|', ...args]);
    expect(stdout).toBe(`${args.join('|')}|`);
  });

  test('gets an input of any length, and an empty one when none is given', async () => {
    const input = Buffer.alloc(300_000, 'x');
    expect((await localCommands.run('wc', ['-c'], { input })).stdout.trim()).toBe('300000');
    expect((await localCommands.run('wc', ['-c'], { input: 'äö' })).stdout.trim()).toBe('4');
    for (const options of [{}, { input: '' }, { input: new Uint8Array(0) }]) {
      expect((await localCommands.run('wc', ['-c'], { ...options, timeoutMs: 5000 })).stdout.trim()).toBe('0');
    }
  });

  test('may end without reading its input', async () => {
    const input = Buffer.alloc(2_000_000);
    expect((await localCommands.run('true', [], { input })).exitCode).toBe(0);
  });

  test('keeps characters whole that arrive in pieces', async () => {
    expect((await sh("printf '\\303'; sleep 0.1; printf '\\244'")).stdout).toBe('ä');
  });

  test('speaks English and sees what is added to the environment', async () => {
    const { stdout } = await sh('echo "$LC_ALL $ADDED $PATH"', { env: { ADDED: 'yes' } });
    expect(stdout).toBe(`C yes ${process.env['PATH']}\n`);
  });
});

describe('a failure is one error', () => {
  test('for an exit code that nobody asked for, with what was said', async () => {
    const failed = { code: 'COMMAND', changed: 'maybe' };
    await expect(sh('echo why >&2; exit 7')).rejects.toMatchObject(failed);
    await expect(sh('echo why >&2; exit 7')).rejects.toThrow('exit code 7: why');
    await expect(sh('exit 7', { okExitCodes: [0, 6] })).rejects.toThrow('exit code 7');
  });

  test('for a signal, even where any exit code is an answer', async () => {
    await expect(sh('kill -9 $$', { okExitCodes: 'any' })).rejects.toThrow('a signal');
  });

  test('for a program that is missing or is none', async () => {
    const missing = { code: 'COMMAND', message: expect.stringContaining('is missing on this machine') as string };
    await expect(localCommands.run('no-such-program', [])).rejects.toMatchObject(missing);
    await expect(localCommands.run('/etc', [])).rejects.toMatchObject({ code: 'COMMAND' });
    await expect(localCommands.run('echo', ['a\0b'])).rejects.toMatchObject({ code: 'COMMAND' });
  });

  test('for more output than anybody can want', async () => {
    await expect(localCommands.run('yes', [], { okExitCodes: 'any' })).rejects.toThrow('a signal');
  });
});

describe('a program that takes too long', () => {
  test('may have done something before that', async () => {
    const late = sh('sleep 30', { timeoutMs: 50 });
    await expect(late).rejects.toMatchObject({ code: 'TIMEOUT', changed: 'maybe' });
  });

  test('is asked to end first', async () => {
    const from = performance.now();
    await expect(sh('trap "exit 0" TERM; while :; do sleep 0.05; done', { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    expect(performance.now() - from).toBeLessThan(5100);
  });

  test('is killed when it will not', async () => {
    const stubborn = `trap "" TERM; echo $$ >&2; while :; do sleep 0.05; done`;
    await expect(sh(stubborn, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'TIMEOUT' });
  }, 15_000);

  test('holds nobody up through children that keep its output open', async () => {
    const from = performance.now();
    await expect(sh('sleep 30 & wait', { timeoutMs: 200 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(performance.now() - from).toBeLessThan(5100);
  });
});
