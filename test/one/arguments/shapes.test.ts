import { describe, expect, it } from 'vitest';
import { parseContext } from '../../../src/one/arguments/context.ts';
import { imageSource, vmLocation } from '../../../src/one/arguments/locations.ts';
import { messageFrom, parseAttachNic, parseDomain, parseRestore } from '../../../src/one/arguments/machine.ts';
import { parseMigration } from '../../../src/one/arguments/migration.ts';
import {
  parseBackupRestore,
  parseClone,
  parseCpds,
  parseMonitor,
  parseMv,
} from '../../../src/one/arguments/transfer.ts';
import { machineUsage, transferUsage } from '../../../src/one/arguments/usage.ts';
import { absolutePath } from '../../../src/one/arguments/values.ts';
import { machineParsers, transferParsers } from '../../support/driver-calls.ts';

const disk = 'host01:/var/lib/one/datastores/0/7/disk.0';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const vm = (hosts: readonly string[], id = 7): string =>
  `<VM><ID>${id}</ID><TEMPLATE/><HISTORY_RECORDS>${hosts
    .map((host, index) => `<HISTORY><SEQ>${index}</SEQ><HOSTNAME>${host}</HOSTNAME></HISTORY>`)
    .join('')}</HISTORY_RECORDS></VM>`;

describe('shapes that were not recorded', () => {
  it('cpds of 4.0 to 4.12 has no snapshot', () => {
    expect(parseCpds([disk, '/ds/1/abc', '7', '1'])).toMatchObject({ vmId: 7, datastoreId: 1, snapshotId: undefined });
  });

  it('cpds of 4.14 on has one, even with a format behind the source', () => {
    expect(parseCpds([disk, '/ds/1/abc', '3', '7', '1'])).toMatchObject({ snapshotId: 3 });
    expect(parseCpds([disk, '/ds/1/abc', 'raw', '3', '7', '1'])).toMatchObject({ snapshotId: 3 });
    expect(parseCpds([disk, '/ds/1/abc', 'raw', '7', '1'])).toMatchObject({ snapshotId: undefined, vmId: 7 });
  });

  it('clone of a kernel from a file datastore goes to a file of that name', () => {
    expect(parseClone(['fe:/ds/2/k', 'host01:/ds/0/7/kernel', '7', '2'])).toMatchObject({
      source: { kind: 'file', host: 'fe', path: '/ds/2/k' },
      destination: { kind: 'file', name: 'kernel', directory: '/ds/0/7' },
    });
  });

  it('mv between system datastores keeps the disk', () => {
    const to = 'host02:/var/lib/one/datastores/110/7/disk.0';
    expect(parseMv([disk, to, '7', '0'])).toMatchObject({ kind: 'disk', destination: { host: 'host02' } });
    expect(() => parseMv([disk, to.replace('disk.0', 'disk.1'), '7', '0'])).toThrow(/same disk/);
    expect(() => parseMv([disk, 'host02:/var/lib/one/datastores/110/7', '7', '0'])).toThrow(/same disk or directory/);
  });

  it.each([
    ['4.0 to 5.8: source first, document in an argument', ['a', 'b', '/ds/0/7', '7', '0', base64(vm(['a', 'b']))], ''],
    ['3.8: destination first', ['b', 'a', '/ds/0/7', '7', '0', base64(vm(['b']))], ''],
    ['5.4 to 5.8, forwarded', ['a', 'b', '/ds/0/7', '7', '0', base64(vm(['a', 'b'])), 'ssh'], ''],
    ['5.10 on', ['a', 'b', '/ds/0/7', '7', '0'], base64(vm(['a', 'b']))],
    ['5.10 on, forwarded', ['a', 'b', '/ds/0/7', '7', '0', 'qcow2'], base64(vm(['a', 'b']))],
    ['raw document in an argument', ['b', 'a', '/ds/0/7', '7', '0', vm(['a', 'b'])], ''],
    ['raw document on standard input', ['b', 'a', '/ds/0/7', '7', '0'], vm(['a', 'b'])],
  ])('premigrate finds the direction: %s', (_, argv, input) => {
    const call = parseMigration('premigrate', argv, input);
    expect([call.sourceHost, call.destinationHost]).toEqual(['a', 'b']);
    expect(call.systemTm).toBe({ ssh: 'ssh', qcow2: 'qcow2' }[argv.at(-1) ?? '']);
  });

  it('premigrate without a document, or with the document of another VM, is refused', () => {
    expect(() => parseMigration('premigrate', ['a', 'b', '/ds/0/7', '7', '0'], '')).toThrow(/neither in the arguments/);
    expect(() => parseMigration('premigrate', ['a', 'b', '/ds/0/7', '7', '0'], vm(['b'], 8))).toThrow(/is of VM 8/);
  });

  it('premigrate whose hosts are not in the history cannot guess when the order is unknown', () => {
    const argv = ['a', 'b', '/ds/0/7', '7', '0', base64(vm(['c']))];
    expect(() => parseMigration('premigrate', argv, '')).toThrow(/neither a nor b is the last host/);
  });

  it('monitor has its document in an argument or on standard input, broken into lines or not', () => {
    const document = base64('<DS_DRIVER_ACTION_DATA><DATASTORE><ID>3</ID></DATASTORE></DS_DRIVER_ACTION_DATA>');
    const broken = document.replace(/(.{20})/g, '$1\n');
    expect(parseMonitor([document, '3'], '')).toMatchObject({ datastoreId: 3, datastore: { id: 3 } });
    expect(parseMonitor(['3'], broken)).toMatchObject({ datastoreId: 3, datastore: { id: 3 } });
  });

  it('restore has a deploy id from 4.4 on, which may be empty', () => {
    const checkpoint = '/ds/0/7/checkpoint';
    expect(parseRestore([checkpoint, 'h', '7', 'h']).deployId).toBeUndefined();
    expect(parseRestore([checkpoint, 'h', 'one-7', '7', 'h']).deployId).toBe('one-7');
    expect(parseRestore([checkpoint, 'h', '', '7', 'h']).deployId).toBeUndefined();
  });

  it('attach_nic has no target in 4.14', () => {
    const head = ['one-7', '02:00:0A:63:00:0B', 'br0', 'virtio', 'fw'];
    expect(parseAttachNic([...head, '7', 'h'])).toMatchObject({ target: undefined, model: 'virtio', vmId: 7 });
    expect(parseAttachNic([...head, 'one-7-1', '7', 'h'])).toMatchObject({
      target: 'one-7-1',
      mac: '02:00:0a:63:00:0b',
    });
  });

  it('a call of 3.x whose empty deploy id the shell swallowed still has VM and host', () => {
    expect(parseDomain('cancel', ['h', '7', 'h'])).toEqual({ vmId: 7, host: 'h', deployId: undefined });
    expect(parseDomain('cancel', ['', 'h', '7', 'h'])).toEqual({ vmId: 7, host: 'h', deployId: undefined });
    expect(() => parseDomain('cancel', ['one-7', 'x', '7', 'h'])).toThrow(/two different hosts/);
  });

  it('TM restore takes -1 for all disks', () => {
    expect(parseBackupRestore(['h:/ds/0/7', '7', '12', '-1', '-1'])).toMatchObject({ imageId: 12, diskId: undefined });
  });

  it('a message is optional for most VMM actions', () => {
    const message = `<VMM_DRIVER_ACTION_DATA><HOST>h</HOST>${vm(['h'])}</VMM_DRIVER_ACTION_DATA>`;
    expect(messageFrom('cancel', '', 7)).toBeUndefined();
    expect(messageFrom('cancel', base64(message), 7)?.vm.id).toBe(7);
    expect(() => messageFrom('cancel', message, 8)).toThrow(/is of VM 7/);
  });
});

describe('image sources', () => {
  it.each([
    ['fe:/var/lib/one/datastores/1/0af', { kind: 'file', host: 'fe', path: '/var/lib/one/datastores/1/0af' }],
    ['fe:/a//b/./c', { kind: 'file', host: 'fe', path: '/a/b/c' }],
    ['/a b/c:d', { kind: 'file', host: undefined, path: '/a b/c:d' }],
    ['fe:/images/with blank $(x).img', { kind: 'file', host: 'fe', path: '/images/with blank $(x).img' }],
    ['http://h/x.img?a=1&b=2', { kind: 'url', url: 'http://h/x.img?a=1&b=2' }],
    ['https://user@h:8443/x', { kind: 'url', url: 'https://user@h:8443/x' }],
    ['fe:http://h/x', { kind: 'url', url: 'http://h/x' }],
    ['vg.lv-one-7', { kind: 'name', host: undefined, name: 'vg.lv-one-7' }],
    ['fe:vg.lv-one-7', { kind: 'name', host: 'fe', name: 'vg.lv-one-7' }],
  ])('%s', (value, expected) => {
    expect(imageSource(value, 'source')).toEqual(expected);
  });
});

describe('context sources', () => {
  const names = (...sources: string[]): string[] =>
    parseContext([...sources, disk, '7', '0']).sources.map(
      ({ origin, name }) => `${origin.kind === 'file' ? origin.path : origin.url} = ${name}`,
    );

  it('have the names that file datastores give them, however the quotes survived', () => {
    expect(names("/ds/2/ab:'init.sh'", "'/ds/2/cd':'my.key'", '/ds/2/ef:plain')).toEqual([
      '/ds/2/ab = init.sh',
      '/ds/2/cd = my.key',
      '/ds/2/ef = plain',
    ]);
  });

  it('may have blanks in a name, which oned splits into arguments', () => {
    expect(names("/ds/2/ab:'my", 'long', "name'", '/etc/hosts')).toEqual([
      '/ds/2/ab = my long name',
      '/etc/hosts = hosts',
    ]);
  });

  it('may be URLs', () => {
    expect(names('https://h:8080/a/b.sh', "http://h/x:'y'")).toEqual([
      'https://h:8080/a/b.sh = b.sh',
      'http://h/x = y',
    ]);
  });

  it('must have different names', () => {
    expect(() => names('/a/x', '/b/x')).toThrow(/x comes twice/);
  });

  it.each([["/a:'..'"], ["/a:'b/c'"], ["/a:''"], ["/a:'b"], ['a/b'], ['/'], ['/a/../b'], ['http://h/']])(
    '%s is refused',
    (source) => {
      expect(() => names(source)).toThrow();
    },
  );
});

describe('paths', () => {
  it('are normalised and stay where they are', () => {
    expect(absolutePath('//a///b/./c/', 'path')).toBe('/a/b/c');
    expect(absolutePath('/', 'path')).toBe('/');
  });

  it('of a VM belong to that VM', () => {
    expect(vmLocation('h:/ds/0/7', 'x', 7)).toMatchObject({ kind: 'directory' });
    for (const path of [
      '/ds/0/8',
      '/ds/0/8/disk.0',
      '/ds/0/17',
      '/ds/0/7/x/disk.0',
      '/ds/0/7/disk.a',
      '/ds/0/7/disk.0/..',
    ]) {
      expect(() => vmLocation(`h:${path}`, 'x', 7), path).toThrow();
    }
  });
});

describe('usage', () => {
  it.each([
    ...Object.entries(transferParsers).map(([action, parse]) => ['tm', action, parse, transferUsage] as const),
    ...Object.entries(machineParsers).map(([action, parse]) => ['vmm', action, parse, machineUsage] as const),
  ])('%s/%s shows its arguments when their number is wrong', (_, action, parse, table) => {
    const argv = Array<string>(action === 'context' ? 2 : 12).fill('1');
    const usage = (table as Readonly<Record<string, { arguments: string }>>)[action];
    const expected = { code: 'USAGE', hint: `usage: ${action} ${usage?.arguments}` };
    expect(() => parse(argv, '')).toThrow(expect.objectContaining(expected));
  });
});
