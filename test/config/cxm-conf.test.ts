/** cxm.conf: the text of the old Python file means the same, and what does not fit is told with its place. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { cxmConfTable, type CxmConf } from '../../src/config/cxm-conf.ts';
import { loadCxmConf, readCxmConf } from '../../src/config/cxm-conf-file.ts';
import { parseSettingsOf, resolveOf } from '../../src/config/load.ts';
import { renderCxmConfExample, renderCxmConfReference } from '../../src/config/render.ts';
import { asCxmError, type CxmError } from '../../src/errors.ts';

const parse = (text: string): CxmConf => resolveOf(cxmConfTable, parseSettingsOf(cxmConfTable, text, 'cxm.conf'));

function refusal(text: string): CxmError {
  try {
    parse(text);
  } catch (error) {
    return asCxmError(error);
  }
  throw new Error(`${JSON.stringify(text)} was accepted`);
}

const defaults: CxmConf = {
  CLUSTER_NAME: undefined,
  ALLOWED_NODES: [],
  CLUSTER_KEY: '/etc/xen/cxmd.key',
  NODE_ADDRESSES: [],
  HB_DISK: undefined,
  TIMER: 3,
  UDP_PORT: 1255,
  TCP_PORT: 1255,
  UNIX_PORT: '/var/run/cxmd.socket',
  HB_CAST: 'unicast',
  HB_INTERFACES: [],
  HB_GROUP: '239.255.12.55',
  CXMD_GROUP: undefined,
  STATE_DIR: '/var/lib/cxm',
  FENCE_CMD: 'cxm_fence',
  FENCE_STATUS_CMD: undefined,
  FENCE_TIMEOUT: 60,
  DISABLE_FENCING: false,
  WATCHDOG: undefined,
  WATCHDOG_TIMEOUT: 30,
  NO_RESTART: [],
  RESTART_FIRST: [],
  SHUTDOWN_TIMEOUT: 60,
  MIGRATE_TIMEOUT: 1800,
  POST_MIGRATION_HOOK: undefined,
  VMCONF_DIR: '/etc/xen/vm',
  AUTO_DIR: '/etc/xen/auto',
  LB_MAX_VM_PER_NODE: 20,
  LB_MAX_MIGRATION: 3,
  LB_MIN_GAIN: 5,
  LB_COST_PER_MIGRATION: 0,
  LB_COST_PER_GIB: 0,
  LB_PIN: [],
  LB_IGNORE: [],
  LB_TOGETHER: [],
  LB_APART: [],
  LB_EMPTY: [],
  LB_INTERVAL: 0,
  LB_THRESHOLD: 15,
  LB_HOLD: 600,
  LB_COOLDOWN: 3600,
  SSH_USER: undefined,
  CONNECT_TIMEOUT: 10,
  NOREFRESH: false,
  PATH: undefined,
  API_DEBUG: false,
  DAEMON_DEBUG: false,
  QUIET: false,
};

describe('the text of a cxm.conf', () => {
  test('that is empty gives every default', () => {
    expect(parse('')).toEqual(defaults);
    expect(parse('# nothing\n\n   \n')).toEqual(defaults);
  });

  test('may be what the old program executed', () => {
    const text = `#!/usr/bin/python
# -*- coding: utf-8 -*-
CLUSTER_NAME = 'prod'   # the name
ALLOWED_NODES=['xen1.example.org', "xen2",
    # the third is on its way
    'xen3',
]\r
HB_DISK = "/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.2001-04.com.example:storage-lun-1"
TIMER=4
UNIX_PORT = '/tmp/cxmd.sock'
DISABLE_FENCING = True
POST_MIGRATION_HOOK = None
PATH = "/usr/local/cxm/bin/:/opt/bin"
VMCONF_DIR = "/etc/xen//vm"
QUIET=False`;
    expect(parse(text)).toEqual({
      ...defaults,
      CLUSTER_NAME: 'prod',
      ALLOWED_NODES: ['xen1.example.org', 'xen2', 'xen3'],
      HB_DISK: '/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.2001-04.com.example:storage-lun-1',
      TIMER: 4,
      UNIX_PORT: '/tmp/cxmd.sock',
      DISABLE_FENCING: true,
      PATH: '/usr/local/cxm/bin:/opt/bin',
    });
  });

  test('is not executed, and nothing in it is expanded', () => {
    for (const text of [
      'import os',
      'TIMER = 1 + 2',
      'TIMER = int("3")',
      'FENCE_CMD = "fence; reboot"',
      'FENCE_CMD = "$(reboot)"',
      'FENCE_CMD = os.environ["X"]',
      'VMCONF_DIR = "/etc/" + "xen"',
      'CLUSTER_NAME = "%s" % 1',
      'if True: TIMER = 3',
    ]) {
      expect(refusal(text).code, text).toBe('CONFIG');
    }
  });
});

describe('what does not fit is refused with file, line, key, what was found and what is allowed', () => {
  test.each([
    ['\nTIMR = 3', 'cxm.conf, line 2: there is no key TIMR; did you mean TIMER?'],
    ['__proto__ = 3', 'cxm.conf, line 1: there is no key __proto__'],
    ['TIMER = 0', 'cxm.conf, line 1: TIMER is 0, but must be a whole number from 1 to 600 (seconds), without quotes'],
    ['TIMER = "3"', 'TIMER is "3", but must be a whole number from 1 to 600 (seconds), without quotes'],
    ['TIMER = -3', 'TIMER is -3, but'],
    ['TIMER = 3.5', 'TIMER is 3.5, but'],
    ['TIMER = True', 'TIMER is True, but'],
    ['TIMER = None', 'TIMER is None, but'],
    ['TIMER = [3]', 'TIMER is [3], but'],
    ['UDP_PORT = 01255', 'UDP_PORT is 01255, but'],
    ['UDP_PORT = 65536', 'UDP_PORT is 65536, but must be a whole number from 1 to 65535'],
    ['QUIET = 1', 'QUIET is 1, but must be True or False, without quotes'],
    ['QUIET = true', 'QUIET is true, but'],
    ['QUIET = "True"', 'QUIET is "True", but'],
    ['CLUSTER_NAME = prod', 'CLUSTER_NAME is prod, but must be a name'],
    ['CLUSTER_NAME = 3', 'in quotes; or None'],
    ['CLUSTER_NAME = ["a"]', 'CLUSTER_NAME is ["a"], but'],
    ['CLUSTER_NAME = "None of\n"', 'does not end'],
    ['ALLOWED_NODES = "a"', 'ALLOWED_NODES is "a", but must be a list of host names, each once'],
    ['ALLOWED_NODES = [a, b]', 'ALLOWED_NODES is [a, b], but'],
    ['ALLOWED_NODES = ["a", b]', 'but must be a list'],
    ['ALLOWED_NODES = ["a", "A"]', 'each once'],
    ['ALLOWED_NODES = ["-oProxyCommand=id"]', 'but must be a list'],
    ['ALLOWED_NODES = ["a" "b"]', 'expected , or ] in the list'],
    ['ALLOWED_NODES = ["a",, "b"]', 'expected a word'],
    ['ALLOWED_NODES = ["a"', 'line 1: expected , or ]'],
    ['ALLOWED_NODES = ("a", "b")', 'line 1'],
    ['HB_DISK = "heartbeat"', 'HB_DISK is "heartbeat", but must be an absolute path'],
    ['HB_DISK = "/dev/../etc/passwd"', 'without ..'],
    [`UNIX_PORT = "/${'a'.repeat(107)}"`, 'at most 107 characters'],
    ['FENCE_CMD = "fence -f"', 'without arguments'],
    ['FENCE_CMD = "-f"', 'without arguments'],
    ['FENCE_CMD = ""', 'but must be'],
    ['PATH = "bin"', 'absolute paths'],
    ['SSH_USER = "-l root"', 'a user name'],
    ['TIMER = 3\nTIMER = 4', 'line 2: TIMER is set twice (first in line 1)'],
    ['TIMER = 3 4', 'expected the end of the line'],
    ['TIMER =', 'expected a value'],
    ['TIMER', 'expected = after TIMER'],
    ['= 3', 'expected a word'],
    ['LB_COST_PER_GIB = 0.1234', 'LB_COST_PER_GIB is 0.1234, but must be a number from 0 to 100 (%), without quotes'],
    ['LB_COST_PER_GIB = 00.5', 'LB_COST_PER_GIB is 00.5, but'],
    ['LB_COST_PER_MIGRATION = 100.5', 'from 0 to 100 (%)'],
    ['LB_PIN = ["shop"]', 'each the name of a VM and of the nodes on which it may be'],
    ['LB_PIN = ["shop $(id)"]', 'each the name of a VM and of the nodes'],
    ['LB_PIN = "shop node1"', 'but must be a list of texts'],
    ['LB_PIN = ["shop node1 node1"]', 'but must be a list of texts'],
    ['LB_APART = ["a"]', 'each the names of two or more VMs'],
    ['LB_TOGETHER = ["a a"]', 'each the names of two or more VMs'],
    ['LB_IGNORE = ["-a"]', 'the name of a VM'],
    ['LB_EMPTY = ["a b"]', 'a list of host names'],
    ['LB_PIN = ["shop node1"]', 'line 1: LB_PIN names node1, which is none of ALLOWED_NODES'],
    ['ALLOWED_NODES = ["a"]\nLB_EMPTY = ["a", "b"]', 'line 2: LB_EMPTY names b, which is none of ALLOWED_NODES'],
    ['ALLOWED_NODES = ["a"]\nLB_PIN = ["x a", "y a", "x a"]', 'line 2: LB_PIN names x twice'],
    ['LB_IGNORE = ["x", "x"]', 'LB_IGNORE names x twice'],
    ['LB_TOGETHER = ["x y", "y z"]', 'LB_TOGETHER names y twice'],
    [
      'LB_APART = ["p q", "z x"]\nLB_TOGETHER = ["x y z"]',
      'line 1: LB_APART keeps x and z apart, which LB_TOGETHER keeps together',
    ],
  ])('%j', (text, message) => {
    const error = refusal(text);
    expect(error.code).toBe('CONFIG');
    expect(error.message).toContain(message);
    expect(error.changed).toBe('nothing');
  });

  test('whatever the file contains, it is either a whole configuration or that one error', () => {
    const pieces = fc.constantFrom(
      'TIMER',
      'PATH',
      '=',
      ' ',
      '\n',
      '"',
      "'",
      '[',
      ']',
      ',',
      '#',
      '3',
      'True',
      '\\',
      '\0',
    );
    const anything = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 }))).map((p) => p.join('')),
    );
    fc.assert(
      fc.property(anything, (text) => {
        try {
          expect(Object.keys(parse(text))).toEqual(Object.keys(defaults));
        } catch (error) {
          expect(asCxmError(error).code).toBe('CONFIG');
          expect(asCxmError(error).message).toMatch(/^cxm\.conf, line \d+: /);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.-]{0,20}[A-Za-z0-9]$/);
const anyPath = fc.stringMatching(/^(\/[A-Za-z0-9_+@-]{1,8}){1,4}$/);
const configurations = fc.record({
  CLUSTER_NAME: fc.option(name, { nil: undefined }),
  ALLOWED_NODES: fc.uniqueArray(name, { maxLength: 5, selector: (word) => word.toLowerCase() }),
  HB_DISK: fc.option(anyPath, { nil: undefined }),
  TIMER: fc.integer({ min: 1, max: 600 }),
  UDP_PORT: fc.integer({ min: 1, max: 65_535 }),
  DISABLE_FENCING: fc.boolean(),
  VMCONF_DIR: anyPath,
});
type Sample = typeof configurations extends fc.Arbitrary<infer T> ? T : never;

/** One of the ways in which a person writes a value in Python. */
function written(value: Sample[keyof Sample], style: number): string {
  const quote = style % 2 === 0 ? '"' : "'";
  if (value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return `${quote}${value}${quote}`;
  const items = value.map((item, index) => written(item, style + index));
  const comma = style % 3 === 0 ? ',\n  # and\n  ' : ' , ';
  return `[${items.join(comma)}${items.length > 0 && style % 5 === 0 ? ',' : ''}]`;
}

function textOf(sample: Sample, style: number): string {
  const lines = Object.entries(sample).map(([key, value]) => {
    const equals = style % 7 === 0 ? '=' : ' = ';
    return `${key}${equals}${written(value, style)}${style % 4 === 0 ? '  # why' : ''}`;
  });
  return lines.join(style % 2 === 0 ? '\n\n' : '\r\n');
}

test('a configuration comes back from its text, however it is written', () => {
  fc.assert(
    fc.property(configurations, fc.nat(200), (sample, style) => {
      expect(parse(textOf(sample, style))).toEqual({ ...defaults, ...sample });
    }),
    { numRuns: 500 },
  );
});

const hasPython = spawnSync('python3', ['--version']).status === 0;

test.skipIf(!hasPython)('Python, which used to execute the file, sees the same values in it', () => {
  const samples = fc.sample(fc.tuple(configurations, fc.nat(200)), { numRuns: 100, seed: 1 });
  const texts = samples.map(([sample, style]) => textOf(sample, style));
  const script = `import json, sys
def values(text):
    found = {}
    exec(text, {}, found)
    return found
print(json.dumps([values(text) for text in json.load(sys.stdin)]))`;
  const output = execFileSync('python3', ['-c', script], { input: JSON.stringify(texts), encoding: 'utf8' });
  const seen = JSON.parse(output) as Record<string, unknown>[];
  for (const [index, text] of texts.entries()) {
    const ours = parse(text);
    for (const [key, value] of Object.entries(seen[index] ?? {})) {
      expect(ours[key as keyof CxmConf] ?? null, `${key} of ${text}`).toEqual(value);
    }
  }
});

describe('what is generated from the table', () => {
  test('the example sets nothing, and with its comments taken off it sets every default', () => {
    const example = renderCxmConfExample();
    expect(parseSettingsOf(cxmConfTable, example, 'example').size).toBe(0);
    const set = parseSettingsOf(cxmConfTable, example.replace(/^#(?=[A-Z_]+ = )/gm, ''), 'example');
    expect([...set.keys()]).toEqual(Object.keys(defaults));
    expect(resolveOf(cxmConfTable, set)).toEqual(defaults);
  });

  test('example and reference in docs are the current ones', () => {
    expect(readFileSync('docs/cxm.conf.example', 'utf8')).toBe(renderCxmConfExample());
    expect(readFileSync('docs/cxm.conf.md', 'utf8')).toBe(renderCxmConfReference());
    for (const key of Object.keys(defaults)) expect(renderCxmConfReference()).toContain(`| \`${key}\` |`);
  });
});

describe('the file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-conf-'));
  afterEach(() => delete process.env['CXM_CONF']);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test('is the one that is asked for, before the one that CXM_CONF names', () => {
    const [asked, named] = [join(directory, 'asked'), join(directory, 'named')];
    writeFileSync(asked, 'TIMER = 5\n');
    writeFileSync(named, '\nTIMER = 7\n');
    process.env['CXM_CONF'] = named;
    expect(loadCxmConf().TIMER).toBe(7);
    expect(loadCxmConf(asked).TIMER).toBe(5);
    expect(readCxmConf().settings.get('TIMER')?.origin).toBe(`${named}, line 2`);
  });

  test('may not be missing when somebody gave its name', () => {
    process.env['CXM_CONF'] = join(directory, 'none');
    expect(() => loadCxmConf()).toThrow('there is no such file');
    expect(() => loadCxmConf(join(directory, 'none'))).toThrow('there is no such file');
  });

  test('is an error when it can not be read, not an empty file', () => {
    expect(() => loadCxmConf(directory)).toThrow('is no file');
    const large = join(directory, 'large');
    writeFileSync(large, '#'.repeat(1024 ** 2 + 1));
    expect(() => loadCxmConf(large)).toThrow('larger than');
    const closed = join(directory, 'closed');
    writeFileSync(closed, 'TIMER = 5\n');
    chmodSync(closed, 0o000);
    if (process.getuid?.() !== 0) expect(() => loadCxmConf(closed)).toThrow("can't be read");
  });
});
