/**
 * Each folder is a behaviour of the cluster: README says what it is about, `events` what happens, `log.expect` what the nodes
 * make of it. `UPDATE_SCENARIOS=1` writes the logs anew; the difference is to be read, not waved through.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runScenario } from './runner.ts';

const folder = import.meta.dirname;
const names = fs
  .readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

describe('scenario', () => {
  test.each(names)('%s', (name) => {
    const log = runScenario(fs.readFileSync(join(folder, name, 'events'), 'utf8'));
    const path = join(folder, name, 'log.expect');
    if (process.env['UPDATE_SCENARIOS'] === '1') fs.writeFileSync(path, log);
    expect(log).toBe(fs.readFileSync(path, 'utf8'));
    expect(fs.readFileSync(join(folder, name, 'README'), 'utf8').trim()).not.toBe('');
  });
});
