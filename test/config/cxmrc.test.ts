/** cxmrc: a shell's idea of quotes, defaults, and settings that travel. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cxmrcTable } from '../../src/config/cxmrc.ts';
import { parseSettings, resolveCxmrc, settingsFromRecord, settingsToRecord } from '../../src/config/load.ts';
import { renderExample, renderReference } from '../../src/config/render.ts';

const parse = (text: string) => resolveCxmrc(parseSettings(text, 'cxmrc'));

describe('the text of a cxmrc', () => {
  test('means the same with quotes of either kind and without', () => {
    for (const quote of ['', '"', "'"]) {
      const text = ['VG_NAME=VG0', 'BUSY_TIMEOUT=5', 'DEBUG=yes', 'DEFAULT_LV_SIZE=10G'].map((line) =>
        line.replace(/=(.*)/, `=${quote}$1${quote}`),
      );
      expect(parse(text.join('\n'))).toMatchObject({
        VG_NAME: 'VG0',
        BUSY_TIMEOUT: 5,
        DEBUG: true,
        DEFAULT_LV_SIZE: 10 * 1024 ** 3,
        KERNEL_DIRS: ['/boot'],
        RAW_KEYS: [],
        CLOUD_NAME: '',
      });
    }
  });

  test.each([
    ['VG_NAME=VG0\nDEBUG=maybe', 'cxmrc, line 2: DEBUG is "maybe", but must be yes or no'],
    ['VG_NAM=VG0', 'cxmrc, line 1: there is no key VG_NAM; did you mean VG_NAME?'],
    ['DEBUG=yes', 'cxmrc does not set VG_NAME, which has no default'],
    ['VG_NAME="VG0', 'cxmrc, line 1: the string that begins with " does not end'],
    ['VG_NAME=$(id)', 'but must be a volume group name'],
  ])('%j is refused', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});

test('settings that travel to a host arrive as they were', () => {
  const settings = fc.record(
    {
      VG_NAME: fc.stringMatching(/^[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,20}$/),
      BUSY_TIMEOUT: fc.integer({ min: 0, max: 3600 }).map(String),
      KERNEL_DIRS: fc.array(fc.stringMatching(/^(\/[a-z]{1,5}){1,3}$/)).map((list) => list.join(' ')),
      DEBUG: fc.constantFrom('yes', 'no', 'True', 'False', '0', '1'),
    },
    { requiredKeys: ['VG_NAME'] },
  );
  fc.assert(
    fc.property(settings, (record) => {
      const text = Object.entries(record).map(([key, value]) => `${key}="${value}"`);
      const here = parseSettings(text.join('\n'), 'cxmrc');
      const there = settingsFromRecord(settingsToRecord(here), 'the caller');
      expect(resolveCxmrc(there)).toEqual(resolveCxmrc(here));
    }),
  );
});

test('what a host sets itself wins', () => {
  const sent = settingsFromRecord({ VG_NAME: 'VG0', BUSY_TIMEOUT: '5' }, 'the caller');
  expect(resolveCxmrc(sent, parseSettings('VG_NAME=VG1', '/etc/cxm/cxmrc'))).toMatchObject({
    VG_NAME: 'VG1',
    BUSY_TIMEOUT: 5,
  });
});

test('example and reference are the current ones and show the defaults', () => {
  expect(readFileSync('cxmrc.example', 'utf8')).toBe(renderExample());
  expect(readFileSync('docs/cxmrc.md', 'utf8')).toBe(renderReference());
  const example = renderExample();
  const all = parseSettings(example.replace(/^#(?=[A-Z_]+=)/gm, ''), 'example');
  expect([...all.keys()]).toEqual(Object.keys(cxmrcTable.keys));
  expect(resolveCxmrc(all)).toEqual(parse(example));
});
