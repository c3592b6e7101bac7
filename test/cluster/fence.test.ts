/** `cxm fence`: a node is off only when the programs say so, within their time. Real processes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { fenceNode } from '../../src/cluster/fence.ts';
import { localCommands } from '../../src/host/commands.ts';

const directory = mkdtempSync(join(tmpdir(), 'cxm-fence-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

function program(text: string): string {
  const file = join(directory, `program${(count += 1)}`);
  writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return file;
}

function fence(command: string, status?: string, timeoutMs = 20_000): Promise<void> {
  const programs = { command: program(command), status: status === undefined ? undefined : program(status) };
  return fenceNode(localCommands, { ...programs, disabled: false, timeoutMs }, 'node2');
}

test('a node is off when the fence command says so and the power state, if it is asked for, does not deny it', async () => {
  await fence('[ "$*" = node2 ]');
  await fence('[ "$*" = node2 ]', '[ "$*" = node2 ] && echo off');
});

test.each<[string, string, string | undefined, string]>([
  ['the fence command fails', 'echo no switch >&2; exit 3', 'echo off', 'exit code 3, so node2 may be on: no switch'],
  ['the power state is on', 'exit 0', 'echo on', 'the power state is on, so node2 may be on'],
  ['the power state is said with a failure', 'exit 0', 'echo off; exit 1', 'the power state is unknown'],
  ['nothing is said of the power state', 'exit 0', 'exit 0', 'the power state is unknown'],
])('a node may be on when %s', async (_, command, status, message) => {
  await expect(fence(command, status)).rejects.toMatchObject({
    code: 'COMMAND',
    changed: 'maybe',
    message: expect.stringContaining(message) as string,
  });
});

test('a node may be on when a program does not end in time', async () => {
  for (const [command, status] of [['sleep 30'], ['exit 0', 'sleep 30']] as const) {
    const late = { code: 'TIMEOUT', message: expect.stringContaining('so node2 may be on') as string };
    await expect(fence(command, status, 300)).rejects.toMatchObject(late);
  }
});
