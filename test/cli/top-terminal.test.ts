import { execa } from 'execa';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const program = fileURLToPath(new URL('top-program.ts', import.meta.url));
const [enter, leave] = ['\x1b[?1049h', '\x1b[?1049l'];

/**
 * Runs top in a terminal of its own, between two looks at the terminal's settings; all that the terminal was told.
 * @param keys typed once the screen is there
 * @param then shell text that runs beside top
 */
async function inTerminal({ mode = '', keys = '', then = ':' }): Promise<string> {
  const line = `stty -g; (${then}) & node --import tsx ${program} ${mode}; echo "ended $?"; stty -g`;
  const run = execa('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    env: { TERM: 'xterm', SHELL: '/bin/sh' },
    reject: false,
    timeout: 25_000,
  });
  run.stdout.on('data', (chunk: Buffer) => {
    if (keys !== '' && chunk.toString().includes('is being asked')) run.stdin.write(keys);
  });
  return (await run).stdout;
}

describe('the terminal', () => {
  it.each([
    ['a key', { keys: 'q' }, 0],
    ['Ctrl-C', { keys: '\x03' }, 0],
    ['SIGTERM', { then: 'sleep 3; kill -TERM $(pgrep --newest --parent $$ node)' }, 0],
    ['an error', { mode: 'throws' }, 1],
  ])('is as it was before when top ends by %s', async (_, how, exitCode) => {
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
