/** Which watchdog devices are taken. The null device stands in for one, and a directory for what the kernel tells of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Watchdog } from '../../src/ha/effects/watchdog.ts';

const directory = mkdtempSync(join(tmpdir(), 'cxm-watchdog-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function open(timeoutSeconds: number, path = '/dev/null'): Watchdog {
  return Watchdog.open(path, timeoutSeconds, () => directory);
}

test('a watchdog is taken that resets the node no later than the others believe', () => {
  writeFileSync(join(directory, 'timeout'), '30\n');
  for (const seconds of [30, 31, 600]) {
    const watchdog = open(seconds);
    watchdog.feed();
    watchdog.rest();
  }
});

test('a watchdog that waits longer than the others believe is refused, with both figures', () => {
  writeFileSync(join(directory, 'timeout'), '60\n');
  expect(() => open(30)).toThrow('/dev/null resets this node after 60 s, but WATCHDOG_TIMEOUT is 30 s');
});

test('a device of which no time-out is known, and one that is not there, are refused', () => {
  rmSync(join(directory, 'timeout'), { force: true });
  expect(() => open(30)).toThrow('the time-out of the watchdog /dev/null is not told');
  expect(() => Watchdog.open('/dev/null', 600)).toThrow('there is no /sys/dev/char/1:3/timeout');
  expect(() => open(30, join(directory, 'watchdog'))).toThrow(`there is no watchdog ${directory}/watchdog`);
});

test('a device that would reset the node when cxmd is ended by a person is refused', () => {
  writeFileSync(join(directory, 'timeout'), '30\n');
  writeFileSync(join(directory, 'nowayout'), '1\n');
  expect(() => open(30)).toThrow("the watchdog /dev/null can't be put to rest");
  writeFileSync(join(directory, 'nowayout'), '0\n');
  open(30).rest();
});
