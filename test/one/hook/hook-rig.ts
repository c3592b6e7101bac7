/**
 * The hook on a clock of its own, against a frontend and a destination of stand-ins. What is exported is made anew for
 * each test of the file that imports this.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { localCommands } from '../../../src/host/commands.ts';
import { createLook } from '../../../src/one/hook/destination.ts';
import { runMigrateHook, type HookSettings } from '../../../src/one/hook/migrate-hook.ts';
import { createStandInFrontend, type StandInFrontend } from '../../support/stand-in-frontend.ts';

export let frontend: StandInFrontend;
/** The hook's clock; it goes on while the hook sleeps, and `events` happen on the way. */
export let nowMs: number;
export let events: { atMs: number; happen: () => void }[];
let path: string | undefined;
let lookTimeoutMs: number;

/** How long the hook waits for the destination's answer. */
export function setLookTimeout(milliseconds: number): void {
  lookTimeoutMs = milliseconds;
}

export const running = (...hosts: string[]): { state: number; lcmState: number; hosts: string[] } => ({
  state: 3,
  lcmState: 3,
  hosts,
});
export const migrating = (...hosts: string[]): { state: number; lcmState: number; hosts: string[] } => ({
  state: 3,
  lcmState: 4,
  hosts,
});

beforeEach(() => {
  frontend = createStandInFrontend();
  mkdirSync(join(frontend.directory, 'vm'));
  frontend.setSight('host02', 'running');
  nowMs = 0;
  lookTimeoutMs = 20_000;
  events = [];
  path = process.env['PATH'];
  process.env['PATH'] = frontend.path;
});

afterEach(() => {
  process.env['PATH'] = path;
  frontend.remove();
});

function settings(changes: Partial<HookSettings> = {}): HookSettings {
  return {
    frontendHost: 'front',
    frontendUser: 'oneadmin',
    runAs: undefined,
    configurationDirectory: join(frontend.directory, 'vm'),
    connectTimeoutSeconds: 10,
    retryTimeoutMs: 600_000,
    volumes: { volumeGroup: 'VG0', volumePrefix: 'lv-one' },
    ...changes,
  };
}

export async function hook(
  argv: string[] = ['one-7', 'host01', 'host02'],
  changes: Partial<HookSettings> = {},
): Promise<string> {
  const log: string[] = [];
  const { connectTimeoutSeconds, configurationDirectory } = settings(changes);
  await runMigrateHook(argv, settings(changes), {
    commands: localCommands,
    look: createLook({ connectTimeoutSeconds, configurationDirectory, localHost: 'host01', timeoutMs: lookTimeoutMs }),
    readFile: (file) => {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return undefined;
      }
    },
    nowMs: () => nowMs,
    sleep: (ms) => {
      expect(ms).toBeGreaterThan(0);
      nowMs += ms;
      for (const event of events.filter(({ atMs }) => atMs <= nowMs)) event.happen();
      events = events.filter(({ atMs }) => atMs > nowMs);
      return Promise.resolve();
    },
    localHost: 'host01',
    log: (text) => {
      log.push(text);
      return Promise.resolve();
    },
  });
  return log.at(-1) ?? '';
}
