import { execa } from 'execa';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('top-program.ts', import.meta.url));
const [enter, leave] = ['\x1b[?1049h', '\x1b[?1049l'];

/**
 * Runs top in a terminal of its own, between two looks at the terminal's settings; all that the terminal was told.
 * @param keys typed once the screen is there
 * @param kill the signal that top gets once the screen is there
 */
async function inTerminal({ mode = '', keys = '', kill = '' }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cxm-top-'));
  const flag = join(directory, 'shown');
  const end = `until [ -e ${flag} ]; do sleep 0.1; done; kill -${kill} $(pgrep --newest --parent $$ node)`;
  const line = `stty -g; ${kill === '' ? '' : `(${end}) &`} node --import tsx ${program} ${mode}; echo "ended $?"; stty -g`;
  const run = execa('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    env: { TERM: 'xterm', SHELL: '/bin/sh' },
    reject: false,
    timeout: 55_000,
  });
  run.stdout.on('data', (chunk: Buffer) => {
    if (!chunk.toString().includes('is being asked')) return;
    if (keys !== '') run.stdin.write(keys);
    writeFileSync(flag, '');
  });
  try {
    return (await run).stdout;
  } finally {
    await rm(directory, { recursive: true });
  }
}

describe('the terminal', () => {
  it.each([
    ['a key', { keys: 'q' }, 0],
    ['Ctrl-C', { keys: '\x03' }, 0],
    ['SIGTERM', { kill: 'TERM' }, 0],
    ['an error', { mode: 'throws' }, 1],
  ])('is as it was before when top ends by %s', { timeout: 60_000 }, async (_, how, exitCode) => {
    const said = await inTerminal(how);
    const settings = said
      .split(/\r?\n/)
      .filter((line) => /^[0-9a-f]+(:[0-9a-f]+){10,}$/.test(line.replace(/^.*\x1b\[\?1049l/, '')));
    expect(said).toContain(`ended ${exitCode}`);
    expect(said.indexOf(enter)).toBeGreaterThan(0);
    expect(said.lastIndexOf(leave)).toBeGreaterThan(said.lastIndexOf(enter));
    expect(said.lastIndexOf('\x1b[?25h')).toBeGreaterThan(said.lastIndexOf('\x1b[?25l'));
    expect(settings).toHaveLength(2);
    expect(settings[1]).toBe(settings[0]);
  });
});
