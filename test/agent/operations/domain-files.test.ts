/** What is left in the directory of configurations by hosts that lost their power. */
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DomainFiles } from '../../../src/agent/operations/domain-files.ts';

let directory: string;
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'cxm-domain-files-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const probe = '.cxm-here-0123456789abcdef';

/** @param ageHours since it was written */
function leave(name: string, ageHours: number): string {
  const path = join(directory, name);
  writeFileSync(path, '');
  const then = Date.now() / 1000 - ageHours * 3600;
  utimesSync(path, then, then);
  return path;
}

test('a new probe takes those of another day with it, and nothing else', () => {
  const old = leave('.cxm-here-00000000000000aa', 25);
  const others = [leave('.cxm-here-00000000000000bb', 23), leave('.cxm-here-mine', 25), leave('web', 25)];
  const files = new DomainFiles(directory, join(directory, 'auto'));
  files.placeProbe(probe);
  expect(existsSync(old)).toBe(false);
  for (const path of others) expect(existsSync(path)).toBe(true);
  expect(files.seesProbe(probe)).toBe(true);
  files.removeProbe(probe);
  expect(files.seesProbe(probe)).toBe(false);
});
