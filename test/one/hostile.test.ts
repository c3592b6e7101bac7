/**
 * What a cloud user, a broken frontend or an attacker may put into arguments and documents. Each case ends in exactly
 * one clear CxmError that is a single printable line, or in a value that is known to be safe.
 */
import { describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { parseContext } from '../../src/one/arguments/context.ts';
import { imageSource } from '../../src/one/arguments/locations.ts';
import { parseActionData } from '../../src/one/documents/action-data.ts';
import { readPayload } from '../../src/one/documents/payload.ts';
import { parseVirtualMachine } from '../../src/one/documents/virtual-machine.ts';
import { documentLimits, parseXml } from '../../src/one/documents/xml.ts';
import { errorSentence } from '../../src/one/report.ts';
import { machineParsers, transferParsers } from '../support/driver-calls.ts';

/** The error of `action`; fails the test if there is none or it is not fit to be shown. */
function refusal(action: () => unknown): CxmError {
  let failure: unknown;
  try {
    const value = action();
    expect.unreachable(`accepted as ${JSON.stringify(value)?.slice(0, 200)}`);
  } catch (error) {
    failure = error;
  }
  if (!(failure instanceof CxmError)) throw failure;
  expect(['USAGE', 'INVALID_INPUT']).toContain(failure.code);
  expect(failure.changed).toBe('nothing');
  expect(failure.message).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u);
  expect(failure.message.length).toBeLessThan(1000);
  expect(errorSentence(failure).split('\n')).toHaveLength(1);
  return failure;
}

/** Values that are no host name, no id, no path, no MAC, no device and no bridge to anyone. */
const nasty = [
  '',
  ' ',
  '\n',
  '\0',
  '-',
  '--',
  '-rf',
  '-oProxyCommand=touch /tmp/x',
  '--help',
  '..',
  '../..',
  '/..',
  "'",
  '"',
  '`id`',
  '$(id)',
  '${IFS}',
  ';id',
  '|id',
  '&id',
  '>x',
  '<x',
  '*',
  '?',
  '~root',
  '#x',
  '%s%n',
  'a b',
  'a\tb',
  'a\nb',
  'a\rb',
  'a\0b',
  'a\\b',
  'a\u001b[2Jb',
  'a\u202eb',
  'a\u2028b',
  '\ud800',
  '\ufeff',
  'ä',
  'пример',
  '😀',
  'x'.repeat(300),
  'x'.repeat(100_000),
];

describe('a nasty value', () => {
  const directory = '/var/lib/one/datastores/0/7';
  const good: Record<string, { argv: string[]; driver: 'tm' | 'vmm'; input?: string; free?: number[] }> = {
    // `free`: positions where some of the values mean `none`, or that nobody reads.
    clone: { driver: 'tm', argv: [`fe:/images/1`, `host01:${directory}/disk.0`, '7', '1'] },
    mv: { driver: 'tm', argv: [`host01:${directory}/disk.0`, `host02:${directory}/disk.0`, '7', '0'] },
    mvds: { driver: 'tm', argv: [`host01:${directory}/disk.0`, '/images/1', '7', '1'] },
    cpds: { driver: 'tm', argv: [`host01:${directory}/disk.0`, '/images/1', '-1', '7', '1'] },
    mkimage: { driver: 'tm', argv: ['10', 'ext4', `host01:${directory}/disk.0`, '7', '0'] },
    mkswap: { driver: 'tm', argv: ['10', `host01:${directory}/disk.0`, '7', '0'] },
    context: { driver: 'tm', argv: ['/var/lib/one/vms/7/context.sh', `host01:${directory}/disk.1`, '7', '0'] },
    delete: { driver: 'tm', argv: [`host01:${directory}`, '7', '0'] },
    premigrate: {
      driver: 'tm',
      argv: ['host01', 'host02', directory, '7', '0'],
      input: '<VM><ID>7</ID><TEMPLATE/></VM>',
    },
    resize: { driver: 'tm', argv: [`host01:${directory}/disk.0`, '10', '7', '0'] },
    snap_create: { driver: 'tm', argv: [`host01:${directory}/disk.0`, '0', '7', '0'] },
    prebackup: { driver: 'tm', argv: [`host01:${directory}`, '0:1', 'one-7', '-', '7', '0'], free: [2, 3] },
    deploy: { driver: 'vmm', argv: [`${directory}/deployment.0`, 'host01', '7', 'host01'], free: [1] },
    cancel: { driver: 'vmm', argv: ['one-7', 'host01', '7', 'host01'], free: [0] },
    save: { driver: 'vmm', argv: ['one-7', `${directory}/checkpoint`, 'host01', '7', 'host01'], free: [0, 2] },
    vmRestore: { driver: 'vmm', argv: [`${directory}/checkpoint`, 'host01', 'one-7', '7', 'host01'], free: [1, 2] },
    migrate: { driver: 'vmm', argv: ['one-7', 'host02', 'host01', '7', 'host01'], free: [0, 2] },
    detach_disk: { driver: 'vmm', argv: ['one-7', `${directory}/disk.0`, 'xvda', '0', '7', 'host01'], free: [0, 3] },
    attach_nic: {
      driver: 'vmm',
      argv: ['one-7', '02:00:0a:63:00:0b', 'br0', 'e1000', 'dummy', 'one-7-0', '7', 'host01'],
      free: [0, 2, 3, 4, 5],
    },
    detach_nic: { driver: 'vmm', argv: ['one-7', '02:00:0a:63:00:0b', '7', 'host01'], free: [0] },
  };
  const run = (name: string, argv: string[], input: string): unknown => {
    const action = name === 'vmRestore' ? 'restore' : name;
    const parsers: Readonly<Record<string, (argv: string[], input: string) => unknown>> =
      good[name]?.driver === 'tm' ? transferParsers : machineParsers;
    return parsers[action]?.(argv, input);
  };

  for (const [name, { argv, input = '', free = [] }] of Object.entries(good)) {
    it(`is refused in each argument of ${name}, which accepts the good ones`, () => {
      run(name, argv, input);
      for (const [position] of argv.entries()) {
        for (const value of nasty) {
          const bad = argv.with(position, value);
          // A volume may be called `xxx...`; a deploy id may be missing; a host that is written twice is read once.
          const harmless = free.includes(position) || (value === 'x'.repeat(300) && isDatastoreWord(name, position));
          if (!harmless) refusal(() => run(name, bad, input));
        }
      }
    });
  }

  /** `x...x` is a fine name for a volume. */
  function isDatastoreWord(name: string, position: number): boolean {
    return (
      (name === 'clone' && position === 0) || (name === 'mvds' && position === 1) || (name === 'cpds' && position === 1)
    );
  }

  it('is no deploy id, unless it is the word for none', () => {
    for (const value of nasty.filter((nastyValue) => !['', '-'].includes(nastyValue) && !/^x{3}/.test(nastyValue))) {
      refusal(() => machineParsers.cancel([value, 'host01', '7', 'host01'], ''));
    }
    refusal(() => machineParsers.cancel(['x'.repeat(300), 'host01', '7', 'host01'], ''));
  });

  it('is no bridge, model, driver or target of an interface, unless it is the word for none', () => {
    const argv = good['attach_nic']?.argv ?? [];
    for (const position of [2, 3, 4, 5]) {
      for (const value of nasty.filter((nastyValue) => !['', '-'].includes(nastyValue))) {
        refusal(() => machineParsers.attach_nic(argv.with(position, value), ''));
      }
    }
  });
});

describe('a hostile argument', () => {
  const disk = 'host01:/ds/0/7/disk.0';
  const table: [string, keyof typeof transferParsers, string[]][] = [
    ['option as host', 'delete', ['-oProxyCommand=id:/ds/0/7', '7', '0']],
    ['user at host', 'delete', ['root@host01:/ds/0/7', '7', '0']],
    ['no host', 'delete', [':/ds/0/7', '7', '0']],
    ['host with blank', 'delete', ['host 01:/ds/0/7', '7', '0']],
    ['host with newline', 'delete', ['host01\n:/ds/0/7', '7', '0']],
    ['host with dots', 'delete', ['..:/ds/0/7', '7', '0']],
    ['host that ends in a hyphen', 'delete', ['host-:/ds/0/7', '7', '0']],
    ['root directory', 'delete', ['host01:/', '0', '0']],
    ['relative path', 'delete', ['host01:ds/0/7', '7', '0']],
    ['path that climbs', 'delete', ['host01:/ds/0/7/../8', '8', '0']],
    ['path that climbs and comes back', 'delete', ['host01:/ds/../ds/0/7', '7', '0']],
    ['path of another VM', 'delete', ['host01:/ds/0/8', '7', '0']],
    ['disk of another VM', 'delete', ['host01:/ds/0/8/disk.0', '7', '0']],
    ['file that is no disk', 'delete', ['host01:/ds/0/7/etc', '7', '0']],
    ['disk below a disk', 'delete', ['host01:/ds/0/7/disk.0/7/x', '7', '0']],
    ['disk number beyond all bounds', 'delete', ['host01:/ds/0/7/disk.99999999999', '7', '0']],
    ['disk number with a sign', 'delete', ['host01:/ds/0/7/disk.-1', '7', '0']],
    ['path with a quote', 'delete', ["host01:/ds/'/7", '7', '0']],
    ['path with a comma', 'delete', ['host01:/ds/a,b/7', '7', '0']],
    ['path with a blank', 'delete', ['host01:/ds/a b/7', '7', '0']],
    ['path with a step like an option', 'delete', ['host01:/ds/-x/7', '7', '0']],
    ['path with a dollar', 'delete', ['host01:/ds/$HOME/7', '7', '0']],
    ['path too long', 'delete', [`host01:/${'d/'.repeat(3000)}7`, '7', '0']],
    ['path with a step too long', 'delete', [`host01:/${'d'.repeat(256)}/7`, '7', '0']],
    ['VM id with a sign', 'delete', ['host01:/ds/0/-7', '-7', '0']],
    ['VM id with a plus', 'delete', ['host01:/ds/0/7', '+7', '0']],
    ['VM id in hexadecimal', 'delete', ['host01:/ds/0/0x7', '0x7', '0']],
    ['VM id with an exponent', 'delete', ['host01:/ds/0/1e1', '1e1', '0']],
    ['VM id with decimals', 'delete', ['host01:/ds/0/7.0', '7.0', '0']],
    ['VM id beyond 32 bits', 'delete', ['host01:/ds/0/4294967296', '4294967296', '0']],
    ['VM id in other digits', 'delete', ['host01:/ds/0/7', '٧', '0']],
    ['VM id with a newline', 'delete', ['host01:/ds/0/7', '7\n', '0']],
    ['empty VM id', 'delete', ['host01:/ds/0/', '', '0']],
    ['datastore id missing', 'delete', ['host01:/ds/0/7', '7', '']],
    ['clone onto a directory', 'clone', ['fe:/i', 'host01:/ds/0/7', '7', '1']],
    ['clone of nothing', 'clone', ['', disk, '7', '1']],
    ['clone of a host without a path', 'clone', ['fe:', disk, '7', '1']],
    ['clone from a path that climbs', 'clone', ['fe:/ds/1/../../etc/shadow', disk, '7', '1']],
    ['clone from a relative path that climbs', 'clone', ['fe:../../etc/shadow', disk, '7', '1']],
    ['clone from an option', 'clone', ['fe:--checkpoint-action=exec=id', disk, '7', '1']],

    ['clone from a URL with a newline', 'clone', ['http://h/a\nHost: x', disk, '7', '1']],
    ['clone from a URL with quotes', 'clone', [`http://h/'"`, disk, '7', '1']],
    ['clone from a URL with a blank', 'clone', ['http://h/a b', disk, '7', '1']],
    ['clone from a URL with backticks', 'clone', ['http://h/`id`', disk, '7', '1']],
    ['clone from a URL without a host', 'clone', ['http:///x', disk, '7', '1']],
    ['clone from a URL whose host is an option', 'clone', ['http://-oX/x', disk, '7', '1']],
    ['clone from a URL beyond all bounds', 'clone', [`http://h/${'a'.repeat(5000)}`, disk, '7', '1']],
    ['mkimage of nothing', 'mkimage', ['0', 'ext4', disk, '7', '0']],
    ['mkimage of less than nothing', 'mkimage', ['-1', 'ext4', disk, '7', '0']],
    ['mkimage of everything', 'mkimage', ['9999999999', 'ext4', disk, '7', '0']],
    ['mkimage of infinity', 'mkimage', ['Infinity', 'ext4', disk, '7', '0']],
    ['mkimage with a unit', 'mkimage', ['1G', 'ext4', disk, '7', '0']],
    ['mkimage of an option', 'mkimage', ['1', '-Eroot_owner=0:0', disk, '7', '0']],
    ['mkimage of a path', 'mkimage', ['1', '../../bin/sh', disk, '7', '0']],
    ['snapshot -1 where one is needed', 'snap_revert', [disk, '-1', '7', '0']],
    ['backup of a disk that is none', 'prebackup', ['host01:/ds/0/7', '0:x', 'one-7', '-', '7', '0']],
    ['backup of no disk', 'prebackup', ['host01:/ds/0/7', '', 'one-7', '-', '7', '0']],
    ['datastore directory that climbs', 'monitor_ds', ['/ds/../etc']],
    ['datastore directory that is relative', 'monitor_ds', ['ds']],
    ['too many arguments', 'context', Array<string>(5000).fill('/x')],
    ['arguments beyond all bounds', 'context', ['x'.repeat(3_000_000), disk, '7', '0']],
    ['no argument at all', 'context', []],
  ];
  it.each(table)('is refused: %s', (_, action, argv) => {
    refusal(() => transferParsers[action](argv, ''));
  });

  it('names what it could not be', () => {
    expect(refusal(() => transferParsers.delete(['root@h:/ds/0/7', '7', '0'], '')).message).toMatch(
      /host of .*delete.*'root@h'.*host name/,
    );
    expect(refusal(() => transferParsers.mkswap(['1G', disk, '7', '0'], '')).message).toBe(
      "the size of mkswap is '1G', but it must be a size from 1 to 1073741824 MiB",
    );
  });

  it('of 100 000 characters is shortened in the message', () => {
    const message = refusal(() => transferParsers.delete([`${'h'.repeat(100_000)}:/ds/0/7`, '7', '0'], '')).message;
    expect(message).toContain('(100000 characters)');
    expect(message.length).toBeLessThan(300);
  });
});

describe('an image path may hold anything that a file name may', () => {
  it.each(["/a'b", '/a"b', '/a$(id)', '/a`id`', '/a;b', '/-rf', '/ä😀', '/a\\b', '/%2e%2e'])('%s', (path) => {
    expect(imageSource(`fe:${path}`, 'source')).toEqual({ kind: 'file', host: 'fe', path });
  });
});

describe('the name of a context file', () => {
  const disk = 'host01:/ds/0/7/disk.0';
  it.each(["'..'", "'.'", "'a/b'", "'/etc/passwd'", "'a\nb'", "'a\0b'", `'${'ä'.repeat(128)}'`, "''", "'"])(
    '%j is refused',
    (name) => {
      refusal(() => parseContext([`/ds/2/x:${name}`, disk, '7', '0']));
    },
  );

  it.each(['-rf', '$(id)', '`id`', '"', '*', '😀', 'a,b=c'])('%s stays one harmless step', (name) => {
    expect(parseContext([`/ds/2/x:'${name}'`, disk, '7', '0']).sources).toMatchObject([{ name }]);
  });
});

describe('a hostile document', () => {
  const bomb = `<!DOCTYPE b [<!ENTITY a "ha">${Array.from({ length: 20 }, (_, i) => `<!ENTITY a${i} "${`&a${i - 1};`.repeat(10)}">`).join('')}]><VM><TEMPLATE>&a19;</TEMPLATE></VM>`;
  const deep = (depth: number): string => '<TEMPLATE>' + '<A>'.repeat(depth) + '</A>'.repeat(depth) + '</TEMPLATE>';
  const inVm = (content: string): string => `<VM><ID>7</ID><TEMPLATE>${content}</TEMPLATE></VM>`;
  it.each([
    ['nothing', ''],
    ['only blanks', ' \n\t'],
    ['no markup', 'hello'],
    ['a Xen configuration', "name = 'x'"],
    ['an unclosed element', '<VM>'],
    ['elements that cross', '<VM><TEMPLATE></VM></TEMPLATE>'],
    ['two roots', '<VM><TEMPLATE/></VM><VM/>'],
    ['two empty roots', '<TEMPLATE/><TEMPLATE/>'],
    ['text behind the root', '<VM><TEMPLATE/></VM>x'],
    ['text before the root', 'x<VM><TEMPLATE/></VM>'],
    ['an unclosed comment', '<VM><!-- <TEMPLATE/></VM>'],
    ['unclosed character data', '<VM><TEMPLATE><A><![CDATA[x]]</A></TEMPLATE></VM>'],
    ['a bare less-than', inVm('<A>1 < 2</A>')],
    ['a bare ampersand', inVm('<A>a & b</A>')],
    ['an unknown entity', inVm('<A>&nbsp;</A>')],
    ['an entity called like a property of objects', inVm('<A>&constructor;</A>')],
    ['an unfinished entity', inVm('<A>&lt</A>')],
    ['a reference to NUL', inVm('<A>&#0;</A>')],
    ['a reference to escape', inVm('<A>&#x1b;</A>')],
    ['a reference to half a character', inVm('<A>&#xd800;</A>')],
    ['a reference beyond Unicode', inVm('<A>&#x110000;</A>')],
    ['a NUL', inVm('<A>\0</A>')],
    ['an escape', inVm('<A>\u001b[2J</A>')],
    ['a document type', '<!DOCTYPE VM><VM><TEMPLATE/></VM>'],
    ['a document type in small letters', '<!doctype VM><VM><TEMPLATE/></VM>'],
    ['a document type behind a comment', '<!-- x --><!DOCTYPE VM><VM><TEMPLATE/></VM>'],
    ['an external entity', '<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]><VM><TEMPLATE>&x;</TEMPLATE></VM>'],
    ['an entity inside the document', '<VM><!ENTITY x "y"><TEMPLATE/></VM>'],
    ['a billion laughs', bomb],
    ['deep nesting', deep(40)],
    ['very deep nesting', deep(100_000)],
    ['an element called __proto__', inVm('<__proto__><x>1</x></__proto__>')],
    ['an element called constructor', inVm('<constructor>1</constructor>')],
    ['an element without a name', inVm('<>x</>')],
    ['an element whose name is a number', inVm('<1>x</1>')],
    ['another root', '<IMAGE><ID>1</ID></IMAGE>'],
    ['a VM without a template', '<VM><ID>7</ID></VM>'],
    ['a VM id that is no number', '<VM><ID>x</ID><TEMPLATE/></VM>'],
    ['a VM id below zero', '<VM><ID>-7</ID><TEMPLATE/></VM>'],
    ['a VM id with an exponent', '<VM><ID>1e5</ID><TEMPLATE/></VM>'],
    ['a VM id in hexadecimal', '<VM><ID>0x10</ID><TEMPLATE/></VM>'],
    ['a VM id beyond all bounds', `<VM><ID>${'9'.repeat(400)}</ID><TEMPLATE/></VM>`],
    ['a memory that is no number', inVm('<MEMORY>lots</MEMORY>')],
    ['a processor share that is no number', inVm('<CPU>NaN</CPU>')],
    ['a disk id that is no number', inVm('<DISK><DISK_ID>../1</DISK_ID></DISK>')],
    ['a disk id below zero', inVm('<DISK><DISK_ID>-1</DISK_ID></DISK>')],
    ['two disks with one id', inVm('<DISK><DISK_ID>1</DISK_ID></DISK><DISK><DISK_ID>1</DISK_ID></DISK>')],
    ['a disk size with a unit', inVm('<DISK><SIZE>8G</SIZE></DISK>')],
    ['more characters than allowed', `<TEMPLATE>${'x'.repeat(documentLimits.characters)}</TEMPLATE>`],
    ['more elements than allowed', `<TEMPLATE>${'<A/>'.repeat(documentLimits.elements + 1)}</TEMPLATE>`],
  ])('is refused: %s', (_, text) => {
    refusal(() => parseVirtualMachine(text));
  });

  it('in base64 is refused like the plain one', () => {
    for (const text of [bomb, '<VM>', deep(40), '<IMAGE/>']) {
      refusal(() => parseActionData(Buffer.from(text).toString('base64')));
    }
    refusal(() =>
      readPayload(Buffer.from(Buffer.from('<VM/>').toString('base64')).toString('base64'), 'twice encoded'),
    );
    refusal(() => readPayload('PFZNPg=', 'cut'));
    refusal(() => readPayload(Buffer.from([0x3c, 0xff, 0xfe]).toString('base64'), 'no text'));
  });

  it('does not change what all objects have in common', () => {
    refusal(() => parseVirtualMachine(inVm('<__proto__><polluted>1</polluted></__proto__>')));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it("keeps a user's text as it is where it is only text", () => {
    for (const name of ["'; DROP", '$(id)', '`id`', '../../etc', '-rf', 'a\nb', 'ä😀', '%s', 'x'.repeat(10_000)]) {
      const vm = parseVirtualMachine(`<VM><ID>7</ID><NAME><![CDATA[${name}]]></NAME><TEMPLATE/></VM>`);
      expect(vm.name).toBe(name);
    }
  });

  it('of many comments and sections is read in linear time', () => {
    const started = performance.now();
    parseXml(`<a>${'<!-- x --><![CDATA[y]]>'.repeat(50_000)}</a>`, 'x');
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
