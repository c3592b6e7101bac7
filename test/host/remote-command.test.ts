/** The string that a login shell gets: words stay words in every shell, and nothing begins without our word. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { quoteWord, quoteWords } from '../../src/host/quote.ts';
import { programOutput, remoteCommandLine } from '../../src/host/remote-command.ts';

/** With files in it, so that a pattern that is not quoted finds something. */
const directory = mkdtempSync(join(tmpdir(), 'cxm-quote-'));
for (const name of ['a', 'b', '-n', '[a]']) writeFileSync(join(directory, name), '');
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const shells = ['sh', 'dash', 'bash', 'bash --posix', 'busybox sh', 'ksh', 'zsh'].filter(
  (shell) => spawnSync(shell.split(' ')[0] ?? '', ['-c', ':']).error === undefined,
);

describe.each(shells)('%s', (shell) => {
  const [program = '', ...options] = shell.split(' ');
  const read = (words: readonly string[]): string[] => {
    const line = `printf '%s\\0' first ${quoteWords(words)}`;
    const { stdout } = spawnSync(program, [...options, '-c', line], { cwd: directory, encoding: 'utf8' });
    return stdout.split('\0').slice(1, -1);
  };

  test('reads words back as they were', () => {
    const special = fc.stringMatching(/^[ \n\t\r'"\\$`!*?[\]{}();&|<>~#=^%:,.+@/a-]{0,10}$/);
    const any = fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replace(/\0|\p{Surrogate}/gu, ''));
    fc.assert(
      fc.property(fc.array(fc.oneof(special, any), { maxLength: 20 }), (words) => {
        expect(read(words)).toEqual(words);
      }),
      { numRuns: 20 },
    );
  });

  test('reads every character back, alone, at the beginning and at the end of a word', () => {
    const all = Array.from({ length: 0x17f }, (_, code) => String.fromCodePoint(code + 1));
    expect(read(all)).toEqual(all);
    const words = all.flatMap((character) => [`${character}a`, `a${character}`, `${character}${character}`]);
    expect(read(words)).toEqual(words);
  });
});

test('a zero byte is refused', () => {
  expect(() => quoteWord('a\0b')).toThrow('zero byte');
});

describe('the string', () => {
  const mark = 'mark:';
  const parts = { timeoutMs: 5000, env: {}, useSudo: false, mark };
  const run = (program: string, args: readonly string[], input: string) => {
    const line = remoteCommandLine({ ...parts, program, args });
    const { stdout, stderr, status } = spawnSync('sh', ['-c', line], { input });
    return { stdout: stdout.toString(), stderr: stderr.toString(), status };
  };

  test('runs the program after our word, with the rest of the input', () => {
    expect(run('cat', ['-'], 'go\nin\nput')).toEqual({ stdout: 'mark:in\nput', stderr: 'mark:', status: 0 });
  });

  test('runs nothing when the input ends, or says something else', () => {
    for (const input of ['', 'go', 'stop\n', '\n', 'go on\n', 'x\ngo\n']) {
      const file = join(directory, 'ran');
      expect(run('touch', [file], input), input).toEqual({ stdout: 'mark:', stderr: 'mark:', status: 125 });
      expect(existsSync(file)).toBe(false);
    }
  });

  test('says nothing for a program that is missing', () => {
    expect(run('no-such-program', [], 'go\n')).toEqual({ stdout: '', stderr: '', status: 127 });
  });

  test('ends what takes longer', () => {
    const line = remoteCommandLine({ ...parts, program: 'sleep', args: ['30'], timeoutMs: 200 });
    expect(spawnSync('sh', ['-c', line], { input: 'go\n' }).status).toBe(124);
  });

  test('has sudo in front of everything, and variables that are none are refused', () => {
    expect(remoteCommandLine({ ...parts, program: 'id', args: [], useSudo: true })).toMatch(/^exec sudo -n -- env /);
    for (const name of ['a b', '', '1', 'A=B', '-i']) {
      expect(() => remoteCommandLine({ ...parts, program: 'id', args: [], env: { [name]: '' } })).toThrow('no name of');
    }
  });
});

test('what a program says begins after the mark, which may stand in the middle of chatter', () => {
  expect(programOutput(Buffer.from('Welcome\nma mark:out mark:'), 'mark:')).toEqual({
    hasBegun: true,
    text: 'out mark:',
  });
  expect(programOutput(Buffer.from('Welcome'), 'mark:')).toEqual({ hasBegun: false, text: 'Welcome' });
  expect(programOutput(Buffer.from('mark:ä'), 'mark:')).toEqual({ hasBegun: true, text: 'ä' });
});
