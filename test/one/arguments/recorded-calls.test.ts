import { describe, expect, it } from 'vitest';
import { driverCalls, recording, type OneVersion } from '../../support/recordings.ts';
import { machineParsers, transferParsers, type Parser } from '../../support/driver-calls.ts';

function parserOf(driver: string, action: string): Parser {
  const parsers: Readonly<Record<string, Parser>> = driver === 'tm' ? transferParsers : machineParsers;
  const parser = parsers[action];
  if (parser === undefined) throw new Error(`no parser for ${driver}/${action}`);
  return parser;
}

function parsed(version: OneVersion, sequence: number): unknown {
  const call = recording(version, sequence);
  return parserOf(call.driver, call.action)(call.argv, call.standardInput);
}

describe('every call that oned 3.8 and 7.x made', () => {
  for (const driver of ['tm', 'vmm'] as const) {
    it(`is understood by the ${driver} parsers, with the VM and the last argument it carries`, () => {
      const calls = driverCalls(driver);
      expect(calls.length).toBeGreaterThan(driver === 'tm' ? 300 : 100);
      for (const call of calls) {
        const record = parserOf(call.driver, call.action)(call.argv, call.standardInput) as Record<string, unknown>;
        const vmId = Number(call.argv.at(-2));
        if (call.action === 'monitor') expect(record['datastoreId']).toBe(Number(call.argv.at(-1)));
        else if (/^(pre|post|fail)migrate$/.test(call.action)) expect(record['vmId']).toBe(Number(call.argv[3]));
        else expect(record['vmId'], call.file).toBe(vmId);
        if (driver === 'vmm') expect(record['host'], call.file).toBe(call.argv.at(-1));
      }
    });
  }

  it('loses or gains an argument: then it is refused with a usage line, or is another known shape', () => {
    for (const call of [...driverCalls('tm'), ...driverCalls('vmm')]) {
      if (call.action === 'context') continue;
      const parser = parserOf(call.driver, call.action);
      expect(() => parser(['one', 'two', ...call.argv, 'x', 'y'], call.standardInput), call.file).toThrow(/arguments/);
      expect(() => parser(call.argv.slice(0, -3), call.standardInput), call.file).toThrow();
    }
  });
});

const directory = '/var/lib/one/datastores';

function disk(host: string, path: string, diskId: number): object {
  const full = `${directory}/${path}/disk.${diskId}`;
  return { kind: 'disk', host, path: full, directory: `${directory}/${path}`, diskId };
}

describe('what a recorded call means', () => {
  const table: [string, OneVersion, number, object][] = [
    [
      'clone names the frontend in its source',
      '3.8',
      9,
      {
        vmId: 1,
        datastoreId: 101,
        source: { kind: 'name', host: 'vm', name: 'probevg.lv-one-0' },
        destination: disk('host01', '102/1', 0),
      },
    ],
    [
      'ln of a persistent image',
      '3.8',
      10,
      { source: { kind: 'name', name: 'probevg.lv-one-1' }, destination: disk('host01', '102/1', 1) },
    ],
    [
      'mkimage of 3.8 has the file system as format',
      '3.8',
      11,
      { sizeMb: 100, format: 'ext3', destination: disk('host01', '102/1', 2), datastoreId: 102 },
    ],
    ['mkimage of 7.x has the image format', '7.x', 27, { sizeMb: 100, format: 'raw', destination: { diskId: 2 } }],
    ['mkswap', '3.8', 12, { sizeMb: 64, destination: disk('host01', '102/1', 3) }],
    [
      'context of 3.8 with files',
      '3.8',
      13,
      {
        sources: [
          { origin: { kind: 'file', path: '/var/lib/one/vms/1/context.sh' }, name: 'context.sh' },
          { origin: { kind: 'file', path: '/etc/hosts' }, name: 'hosts' },
          { origin: { kind: 'file', path: '/etc/hostname' }, name: 'hostname' },
        ],
        destination: disk('host01', '102/1', 4),
      },
    ],
    ['context of 7.x', '7.x', 29, { sources: [{ name: 'context.sh' }], destination: disk('host01', '103/1', 4) }],
    [
      'mv of a disk to the frontend',
      '3.8',
      24,
      { kind: 'disk', source: disk('host01', '102/1', 0), destination: disk('vm', '102/1', 0), datastoreId: 101 },
    ],
    [
      'mv of the directory',
      '3.8',
      28,
      { kind: 'directory', source: { path: `${directory}/102/1` }, destination: { host: 'vm' }, datastoreId: 102 },
    ],
    [
      'premigrate of 3.8 has the destination first and the document in an argument',
      '3.8',
      47,
      { sourceHost: 'host01', destinationHost: 'host02', vmId: 1, systemDatastoreId: 102, systemTm: undefined },
    ],
    [
      'premigrate of 7.x has the source first and the document on standard input',
      '7.x',
      109,
      { sourceHost: 'host02', destinationHost: 'host01', directory: `${directory}/103/1`, systemDatastoreId: 103 },
    ],
    [
      'premigrate that the ssh driver forwarded names it',
      '7.x',
      319,
      { sourceHost: 'host02', destinationHost: 'host01', systemTm: 'ssh', vmId: 10, vm: { id: 10 } },
    ],
    ['failmigrate', '7.x', 196, { sourceHost: 'host01', destinationHost: 'host02', vmId: 2 }],
    [
      'cpds of the current state',
      '7.x',
      323,
      { destination: { kind: 'name', host: undefined, name: 'probevg.lv-one-9' }, snapshotId: undefined, vmId: 10 },
    ],
    ['cpds of a snapshot', '7.x', 278, { source: disk('host01', '103/6', 0), snapshotId: 0, datastoreId: 102 }],
    ['cpds with a format behind the source', '7.x', 153, { destination: { name: 'probevg.lv-one-' }, vmId: 1 }],
    ['mvds has a bare source', '3.8', 87, { destination: { kind: 'name', host: undefined }, vmId: 1 }],
    ['snap_create_live', '7.x', 268, { disk: disk('host01', '103/6', 0), snapshotId: 0 }],
    [
      'prebackup_live',
      '7.x',
      496,
      { directory: { path: `${directory}/103/13` }, diskIds: [0], deployId: 'one-13-deployid', job: undefined },
    ],
    ['postbackup', '7.x', 505, { vmId: 13, datastoreId: 103, diskIds: [0] }],
    ['delete of a disk', '7.x', 255, { target: { kind: 'disk', diskId: 0 }, vmId: 5, datastoreId: 102 }],
    ['delete of the directory', '7.x', 258, { target: { kind: 'directory' }, vmId: 5, datastoreId: 103 }],
    [
      'deploy of 3.8 with a Xen configuration',
      '3.8',
      14,
      { deploymentFile: `${directory}/102/1/deployment.0`, host: 'host01', deployment: { kind: 'xen' } },
    ],
    ['deploy of 3.8 with type xml', '3.8', 152, { deployment: { kind: 'xml' } }],
    ['deploy of 3.8 run locally gets nothing', '3.8', 164, { deployment: { kind: 'empty' } }],
    ['deploy of 7.x with type xml', '7.x', 30, { deployment: { kind: 'xml' } }],
    ['deploy of 7.x with type xen', '7.x', 654, { deployment: { kind: 'xen' } }],
    ['deploy of 7.x run locally gets base64', '7.x', 334, { deployment: { kind: 'xml' } }],
    ['restore of 3.8', '3.8', 21, { checkpoint: `${directory}/102/1/checkpoint`, deployId: undefined }],
    [
      'restore of 7.x',
      '7.x',
      39,
      { checkpoint: `${directory}/103/1/checkpoint`, deployId: 'one-1-deployid', host: 'host01', vmId: 1 },
    ],
    ['save', '3.8', 20, { deployId: 'one-1', checkpoint: `${directory}/102/1/checkpoint` }],
    ['migrate', '3.8', 48, { deployId: 'one-1', destinationHost: 'host02', host: 'host01' }],
    [
      'attach_disk with the message of 3.8',
      '3.8',
      52,
      { diskPath: `${directory}/102/1/disk.5`, diskId: 5, target: 'sda', message: { host: 'host02', vm: { id: 1 } } },
    ],
    [
      'attach_nic',
      '7.x',
      140,
      {
        mac: '02:00:0a:63:00:0b',
        bridge: 'br0',
        model: undefined,
        networkDriver: 'dummy',
        target: 'one-1-1',
        deployId: 'one-1-deployid',
        vmId: 1,
      },
    ],
    ['prereconfigure', '7.x', 141, { target: 'sda', contextPath: undefined }],
    ['reconfigure', '7.x', 143, { target: 'sda', contextPath: `${directory}/103/1/disk.4` }],
    ['snapshot_create', '7.x', 148, { snapshot: '0' }],
    ['snapshot_revert', '7.x', 149, { snapshot: 'hypsnap-0' }],
    ['resize_disk', '7.x', 155, { diskId: 0, sizeMb: 256, message: { vm: { id: 1 } } }],
    ['TM resize', '7.x', 154, { disk: disk('host01', '103/1', 0), sizeMb: 256 }],
    ['resize of a running VM', '7.x', 156, { message: { vm: { id: 1 } } }],
    ['monitor of 7.x', '7.x', 2, { datastoreId: 103, datastore: { name: 'psys', basePath: `${directory}/103` } }],
  ];
  it.each(table)('%s (%s, %i)', (_, version, sequence, expected) => {
    expect(parsed(version, sequence)).toMatchObject(expected);
  });
});
