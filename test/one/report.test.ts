import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { CxmError } from '../../src/errors.ts';
import {
  createReport,
  errorForm,
  errorSentence,
  errorText,
  logLine,
  maxErrorCharacters,
} from '../../src/one/report.ts';

const error = new CxmError('NO_SPACE', 'vg1 has 1 GiB free,\nbut 2 GiB are needed', { changed: 'rolled-back' });
const sentence =
  'vg1 has 1 GiB free, but 2 GiB are needed. Everything was rolled back. Hint: free space in the volume group or choose another host. [NO_SPACE]';

describe('the error for the user', () => {
  it('stands between markers for oned up to 6.0', () => {
    expect(errorText(error, 'marked')).toBe(`ERROR MESSAGE --8<------\n${sentence}\nERROR MESSAGE ------>8--\n`);
  });

  it('is one plain line for oned from 6.2 on', () => {
    expect(errorText(error, 'plain')).toBe(`${sentence}\n`);
  });

  it('is one bounded line without control characters or markers, and no log line, whatever the message is', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('INFO: x', 'ERROR: y', 'a\r\n\0\u001bb', '--8<--', 'a 8<b>8'),
    );
    fc.assert(
      fc.property(text, text, (message, hint) => {
        const line = errorSentence(new CxmError('XEN', message, { hint }));
        expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        expect(line).not.toMatch(/^(INFO|DEBUG|WARN|ERROR|LOG)[\s:]/);
        expect(line).not.toMatch(/8<|>8/);
        expect(line.length).toBeLessThan(maxErrorCharacters + 700);
      }),
    );
  });

  it('keeps a question mark at the end of its sentence, without a full stop behind it', () => {
    const asked = new CxmError('CONFIG', 'there is no key VG_NAM; did you mean VG_NAME?', { hint: 'mend it' });
    expect(errorSentence(asked)).toBe('there is no key VG_NAM; did you mean VG_NAME? Hint: mend it. [CONFIG]');
  });

  it('comes once: a second failure is a log line', () => {
    const written: string[] = [];
    const report = createReport({ action: 'clone', write: (text) => written.push(text), form: 'marked', debug: false });
    report.fail(error);
    report.fail(new CxmError('IO', 'second'));
    expect(written).toHaveLength(2);
    expect(written[1]).toBe('ERROR: clone: second. Hint: check the medium and the permissions. [IO]\n');
  });
});

describe('log lines', () => {
  it('carry severity and action', () => {
    const written: string[] = [];
    const report = createReport({ action: 'mv', write: (text) => written.push(text), form: 'plain', debug: false });
    report.info('10 %');
    report.warn('slow');
    report.debug('hidden');
    createReport({ action: 'mv', write: (text) => written.push(text), form: 'plain', debug: true }).debug('shown');
    expect(written).toEqual(['INFO: mv: 10 %\n', 'INFO: mv: warning: slow\n', 'DEBUG: mv: shown\n']);
  });

  it('are one line each, however long or broken the text is', () => {
    expect(logLine('INFO', 'x', 'a\nERROR: x: forged\r\u001b[2J\0')).toBe(
      'INFO: x: a ERROR: x: forged \\u{1b}[2J\\u{0}\n',
    );
    expect(logLine('INFO', 'x', `start ${'y'.repeat(100_000)} end`)).toMatch(/^INFO: x: start y+ \.\.\. y+ end\n$/);
    expect(logLine('INFO', 'x', '\0'.repeat(100_000)).length).toBeLessThan(2100);
  });
});

describe('the form that the installation wants', () => {
  const files: Record<string, string> = {
    '/var/lib/one/remotes/scripts_common.sh': 'echo "ERROR MESSAGE --8<------" 1>&2',
    '/var/tmp/one/scripts_common.sh': 'echo "$1" 1>&2',
    '/usr/lib/one/sh/scripts_common.sh': '--8<--',
    '/srv/one/lib/sh/scripts_common.sh': 'plain',
  };
  const readFrom =
    (...paths: string[]) =>
    (path: string): string => {
      const text = files[path];
      if (text === undefined || !paths.includes(path)) throw new Error(`ENOENT ${path}`);
      return text;
    };

  it.each([
    [
      'beside the drivers on the frontend',
      '/var/lib/one/remotes/tm/cxm/clone',
      undefined,
      ['/var/lib/one/remotes/scripts_common.sh'],
      'marked',
    ],
    [
      'beside the drivers on a host',
      '/var/tmp/one/vmm/cxm/deploy',
      undefined,
      ['/var/tmp/one/scripts_common.sh', '/usr/lib/one/sh/scripts_common.sh'],
      'plain',
    ],
    [
      'in the library of 3.8',
      '/var/lib/one/remotes/tm/cxm/clone',
      undefined,
      ['/usr/lib/one/sh/scripts_common.sh'],
      'marked',
    ],
    [
      'in a self-contained installation',
      '/srv/one/var/remotes/tm/cxm/clone',
      '/srv/one',
      ['/srv/one/lib/sh/scripts_common.sh', '/usr/lib/one/sh/scripts_common.sh'],
      'plain',
    ],
    ['nowhere', '/x/tm/cxm/clone', undefined, [], 'plain'],
    ['nowhere, and the action by a relative name', 'clone', '', [], 'plain'],
  ] as const)('is told by scripts_common.sh %s', (_, action, location, paths, form) => {
    expect(errorForm(action, location, readFrom(...paths))).toBe(form);
  });
});
