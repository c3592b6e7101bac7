import { describe, expect, it } from 'vitest';
import { mayBeRestarting } from '../../src/cluster/alone.ts';
import { changedAfter, hasEnded } from '../../src/cluster/certainty.ts';
import { findProblems, findingKinds, type CheckedNode, type FindingKind } from '../../src/cluster/check.ts';
import { definitionOf } from '../../src/cluster/definition.ts';
import { neverIgnored, obstaclesTo, type MigrationFacts } from '../../src/cluster/migrate-checks.ts';
import { judge } from '../../src/cluster/migrate-outcome.ts';
import { activateExclusively, chooseNode, withRoom } from '../../src/cluster/start.ts';
import { describeStep } from '../../src/cluster/steps.ts';
import { CxmError } from '../../src/errors.ts';
import { volumeOfPath } from '../../src/lvm/device-path.ts';
import { toolstackError, ToolstackError } from '../../src/xen/toolstack-error.ts';
import type { DomainRow } from '../../src/xen/domain-list.ts';
import { row, rowOfKind, sight, volume } from './sights.ts';

const text = (disks: string, more = ''): string => `name = "vm1"\nmemory = 100\ndisk = [${disks}]\n${more}`;
const config = (body: string, vm = 'vm1') => ({ vm, path: `/etc/xen/vm/${vm}`, text: body });
const san = (name: string) => ({ group: 'san', volume: name });

describe('a device path', () => {
  it.each([
    ['/dev/san/vm1-0', san('vm1-0')],
    ['/dev/mapper/san-vm1--0', san('vm1-0')],
    ['/dev/mapper/a--b-c', { group: 'a-b', volume: 'c' }],
    ['/dev/sda', undefined],
    ['/dev/disk/by-id', undefined],
    ['/dev/mapper/control', undefined],
    ['/dev/san/../sda', undefined],
    ['/dev/san/-rf', undefined],
    ['/srv/image.raw', undefined],
  ])('%s is the volume %j', (path, expected) => expect(volumeOfPath(path)).toEqual(expected));
});

describe('a definition', () => {
  it('tells what is written from what is only read, and from what is no volume', () => {
    const disks = '"phy:/dev/san/a,xvda,w", "phy:san/iso,xvdb,r", "/dev/san/cd,raw,hdc,r", "file:/srv/x,xvdc,w"';
    const found = definitionOf(config(text(disks, 'vif = ["mac=0:1, bridge=br1", "bridge=br1"]')));
    expect(found).toMatchObject({ memoryMib: 100, vcpus: 1, bridges: ['br1'], otherDisks: ['/srv/x'] });
    expect(found.volumes).toEqual([san('a')]);
    expect(found.readOnlyVolumes).toEqual([san('iso'), san('cd')]);
  });

  it('takes a volume with both as one that is written', () => {
    const found = definitionOf(config(text('"phy:/dev/san/a,xvda,r", "phy:/dev/mapper/san-a,xvdb,w"')));
    expect([found.volumes, found.readOnlyVolumes]).toEqual([[san('a')], []]);
  });

  it.each([
    ['another name', 'name = "vm2"'],
    ['no name', 'memory = 1'],
    ['a broken line', 'name = "vm1"\ndisk = ['],
    ['a broken disk', text('"phy:/dev/san/a"')],
    ['a disk that is a list', text('["x"]')],
    ['bytes that are no text', 'name = "vm1"\0\n\u0001'],
    ['nothing', ''],
  ])('is refused for %s, naming the file', (_, body) => {
    expect(() => definitionOf(config(body))).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining('/etc/xen/vm/vm1') }),
    );
  });
});

describe('after a migration', () => {
  const names = [...(Object.keys(rowOfKind) as (keyof typeof rowOfKind)[]), 'none', 'silent'] as const;
  type Side = (typeof names)[number];
  const side = (kind: Side, id: number): DomainRow[] | undefined =>
    kind === 'silent' ? undefined : kind === 'none' ? [] : [rowOfKind[kind](id, 'vm1')];
  const runs = (kind: Side): boolean => kind === 'running' || kind === 'paused';
  const isShell = (kind: Side): boolean => ['none', 'suspended', 'away', 'dying'].includes(kind);

  it.each(names.flatMap((here) => names.map((there): [Side, Side] => [here, there])))(
    '%s here and %s there is judged as it must be',
    (here, there) => {
      const found = judge(side(here, 1), side(there, 2));
      if (here === 'silent') expect(found).toBe('unknown');
      else if (there === 'silent') expect(found).toBe(runs(here) ? 'stayed' : 'unknown');
      else if (runs(here) && runs(there)) expect(found).toBe('both');
      else if (runs(there)) expect(found).toBe(isShell(here) ? 'moved' : 'pending');
      else if (runs(here)) expect(found).toBe(there === 'none' ? 'stayed' : 'pending');
      else expect(found).toBe(here === 'none' && there === 'none' ? 'nowhere' : 'pending');
    },
  );
});

describe('a failure', () => {
  it.each<[string, unknown, boolean]>([
    ['success', undefined, true],
    ['what xl said', toolstackError('xl create', 3, 'failed to stat: /dev/x'), true],
    [
      'a deadline that xl kept for its connection',
      toolstackError('x', 1, 'migration transport process [7] exited with error status 124'),
      true,
    ],
    ['a deadline of ours', new ToolstackError('timeout', 'TIMEOUT', 'x', { cause: new Error('late') }), false],
    ['a broken connection', new CxmError('HOST_UNREACHABLE', 'x', { changed: 'maybe' }), false],
    ['a connection that never was', new CxmError('HOST_UNREACHABLE', 'x'), true],
    ['a deadline', new CxmError('TIMEOUT', 'x'), false],
    ['a signal', new CxmError('COMMAND', 'x', { changed: 'maybe' }), false],
    ['what LVM said', new CxmError('LVM', 'x', { changed: 'maybe' }), true],
    ['a bug', new TypeError('x'), false],
  ])('of %s tells whether the program has ended', (_, error, ended) => {
    expect(hasEnded(error)).toBe(ended);
    expect(changedAfter(error, true)).toBe(ended ? 'rolled-back' : 'maybe');
    expect(changedAfter(error, false)).toBe('maybe');
  });
});

describe('a start', () => {
  const links = new Map([['vm1', '/etc/xen/vm/vm1']]);

  it('goes where it is told, to the autostart link, or to the local node', () => {
    const sights = [sight('node1'), sight('node2', { links }), sight('node3')];
    expect(chooseNode({ sights, silent: [] }, 'vm1', { node: 'node3' })).toMatchObject({ node: 'node3', fixed: true });
    expect(chooseNode({ sights, silent: [] }, 'vm1', { localNode: 'node3' })).toMatchObject({
      node: 'node2',
      remarks: [],
    });
    const local = chooseNode({ sights, silent: [] }, 'vm2', { localNode: 'node3' });
    expect(local.node).toBe('node3');
    expect(local.remarks).toHaveLength(1);
    expect(() => chooseNode({ sights, silent: [] }, 'vm1', { node: 'node9' })).toThrow(/no node/);
  });

  it('is neither made on a node that LB_EMPTY or LB_PIN keeps it from, nor moved there for want of room', () => {
    const sights = [sight('node1', {}, 100), sight('node2', {}, 900), sight('node3', {}, 500), sight('node4', {}, 800)];
    const rules = { pinned: [{ vm: 'vm1', nodes: ['node2', 'node3', 'node4'] }], empty: ['node2'] };
    const survey = { sights, silent: [] };
    const choice = chooseNode(survey, 'vm1', { localNode: 'node1', rules });
    expect(choice.node).toBe('node4');
    expect(chooseNode(survey, 'vm2', { localNode: 'node1', rules }).node).toBe('node1');
    const small = { node: 'node1', fixed: false, remarks: [] };
    expect(withRoom(survey, { vm: 'vm1', memoryMib: 400 }, small, rules).node).toBe('node4');
    expect(withRoom(survey, { vm: 'vm1', memoryMib: 400 }, small, {}).node).toBe('node2');
    expect(() => withRoom(survey, { vm: 'vm1', memoryMib: 850 }, small, rules)).toThrow(
      'vm1 needs 850 MiB, and no node on which LB_PIN and LB_EMPTY let it be has more than 800 MiB free',
    );
  });

  it('is refused with two links', () => {
    const sights = [sight('node1', { links }), sight('node2', { links })];
    expect(() => chooseNode({ sights, silent: [] }, 'vm1', {})).toThrow(/node1 and node2/);
  });

  it('deactivates elsewhere first, but neither what is only read nor another volume of the name', () => {
    const own = sight('node1', { volumes: [volume('a'), volume('iso')] });
    const other = sight('node2', { volumes: [volume('a', { active: true }), volume('iso', { active: true })] });
    const foreign = sight('node3', { volumes: [volume('a', { active: true, uuid: 'another' })] });
    const steps = activateExclusively(
      [own, other, foreign],
      { volumes: [san('a')], readOnlyVolumes: [san('iso')] },
      own,
    );
    expect(steps.map(describeStep)).toEqual([
      'node2: deactivate san/a',
      'node1: activate san/a',
      'node1: activate san/iso shared with other nodes',
    ]);
  });

  it('waits for a reboot where volumes are active, a domain lost its name, or nothing could tell', () => {
    const plain = sight('node2', { volumes: [volume('a')] });
    expect(mayBeRestarting([plain], { volumes: [san('a')] })).toBe(false);
    expect(mayBeRestarting([plain], { volumes: [] })).toBe(true);
    expect(mayBeRestarting([{ ...plain, volumes: [volume('a', { active: true })] }], { volumes: [san('a')] })).toBe(
      true,
    );
    expect(mayBeRestarting([{ ...plain, rows: [row(7, undefined)] }], { volumes: [san('a')] })).toBe(true);
  });
});

describe('an obstacle', () => {
  const volumes = [volume('a'), volume('iso', { open: true, active: true })];
  const facts: MigrationFacts = {
    vm: 'vm1',
    row: row(1, 'vm1'),
    source: sight('node1', { volumes }),
    destination: sight('node2', { volumes }),
    details: {
      ...{ id: 1, name: 'vm1', uuid: undefined, type: 'pv', maximumMemoryKib: 1, targetMemoryKib: 1 },
      ...{ maximumVcpus: 1, disks: [], nics: [{ index: 0, mac: '00:16:3e:00:00:01', bridge: 'br0' }] },
    },
    volumes: [san('a')],
    readOnlyVolumes: [san('iso')],
    otherDisks: [],
    configPath: '/etc/xen/vm/vm1',
    configDiffers: false,
  };
  const at = (parts: Parameters<typeof sight>[1], free = 1000) => ({
    destination: sight('node2', { volumes, ...parts }, free),
  });

  it('is not there when all is well, though others read what it reads', () => expect(obstaclesTo(facts)).toEqual([]));

  it.each<[string, boolean, Partial<MigrationFacts>]>([
    ['state', false, { row: row(1, 'vm1', { paused: true }) }],
    ['memory', false, at({}, 103)],
    ['volume', false, at({ volumes: [volume('iso')] })],
    ['volume', false, at({ volumes: [volume('a')] })],
    ['volume', false, at({ volumes: [volume('a', { uuid: 'x' }), volume('iso')] })],
    ['volume', false, at({ volumes: [volume('a', { open: true }), volume('iso')] })],
    ['volume', false, at({ volumes: [...volumes, volume('a_reading', { origin: 'a' })] })],
    ['volume', false, { source: sight('node1', { volumes: [...volumes, volume('a_reading', { origin: 'a' })] }) }],
    ['volume', false, { source: sight('node1', { volumes: [...volumes, volume('iso_old', { origin: 'iso' })] }) }],
    ['volume', false, at({ volumes: [volume('a', { origin: 'golden' }), volume('iso')] })],
    ['disk', true, { otherDisks: ['/srv/x'] }],
    ['bridge', false, at({ bridges: [] })],
    ['interface', true, { details: { ...facts.details, nics: [{ index: 0, mac: 'm', bridge: undefined }] } }],
    ['cpu', false, { source: sight('node1', { volumes, cpuFlags: ['avx', 'fpu'] }) }],
    ['config', false, { configPath: undefined }],
    ['config', true, { configDiffers: true }],
  ])('of kind %s (a warning: %s) is found', (kind, warning, change) => {
    expect(obstaclesTo({ ...facts, ...change })).toEqual([{ kind, warning, text: expect.any(String) }]);
  });

  it('is no snapshot of another volume, or of one in another group', () => {
    const others = [volume('b_reading', { origin: 'b' }), volume('x', { group: 'local', origin: 'a' })];
    expect(obstaclesTo({ ...facts, ...at({ volumes: [...volumes, ...others] }) })).toEqual([]);
  });

  it('of a volume can not be ignored', () => expect(neverIgnored).toContain('volume'));
});

describe('check', () => {
  const links = new Map([['vm1', '/etc/xen/vm/vm1']]);
  const body = text('"phy:/dev/san/a,xvda,w"');
  const here = sight('node1', { rows: [row(1, 'vm1')], links, volumes: [volume('a', { active: true, open: true })] });
  const there = sight('node2', { volumes: [volume('a')] });
  const nodes = (
    one: Partial<typeof here> = {},
    two: Partial<typeof here> = {},
    configs = [[config(body)], [config(body)]],
  ): CheckedNode[] => [
    { sight: { ...here, ...one }, configs: configs[0] ?? [] },
    { sight: { ...there, ...two }, configs: configs[1] ?? [] },
  ];
  const kindsOf = (list: CheckedNode[]): FindingKind[] => findProblems(list).map(({ kind }) => kind);
  const second = config(body.replace('vm1', 'vm2'), 'vm2');
  const reader = config(body.replace('vm1', 'vm2').replace(',w', ',r'), 'vm2');
  const readers = [config(body.replace(',w', ',r')), reader];

  it('finds nothing where all is well', () => {
    expect(kindsOf(nodes())).toEqual([]);
    expect(kindsOf(nodes({}, { volumes: [volume('a', { active: true })] }, [readers, readers]))).toEqual([]);
  });

  const provoked: Record<FindingKind, CheckedNode[]> = {
    'runs-twice': nodes({}, { rows: [row(2, 'vm1')], links, volumes: [volume('a', { active: true })] }),
    'shared-volume': nodes({}, {}, [
      [config(body), second],
      [config(body), second],
    ]),
    'missing-bridge': nodes({ bridges: ['br0', 'br1'] }),
    'missing-config': nodes({}, {}, [[config(body)], []]),
    'config-differs': nodes({}, {}, [[config(body)], [config(`${body}# more`)]]),
    'bad-config': nodes({}, {}, [
      [config(body), config('x', 'vm3')],
      [config(body), config('x', 'vm3')],
    ]),
    'missing-volume': nodes({ volumes: [] }, { volumes: [] }),
    'active-elsewhere': nodes({}, { volumes: [volume('a', { active: true })] }),
    'inactive-where-running': nodes({ volumes: [volume('a')] }),
    'link-without-vm': nodes({ rows: [], volumes: [volume('a')] }),
    'vm-without-link': nodes({ links: new Map() }),
    'several-links': nodes({}, { links }),
    'lost-monitor': nodes({ rows: [row(1, 'vm1', { shutdown: 'reboot' })] }),
    'left-by-migration': nodes({}, { rows: [rowOfKind.away(3, 'vm1')] }),
    'two-configs': nodes({}, {}, [[config(body), { ...config(body), path: '/etc/xen/vm/vm1.cfg' }], [config(body)]]),
    'no-config': nodes({ rows: [row(1, 'vm1'), row(5, 'stranger')] }),
    'group-differs': nodes({}, { groups: [{ ...there.groups[0]!, uuid: 'other' }] }),
  };

  it.each(Object.keys(findingKinds) as FindingKind[])('finds %s', (kind) =>
    expect(kindsOf(provoked[kind])).toContain(kind),
  );

  it('finds a domain that arrives from nowhere, but none that comes from a node', () => {
    const incoming = { rows: [rowOfKind.incoming(3, 'vm1')] };
    const lone = findProblems(nodes({ rows: [] }, incoming)).filter(({ kind }) => kind === 'left-by-migration');
    expect(lone).toMatchObject([{ nodes: ['node2'], vm: 'vm1' }]);
    expect(lone[0]?.text).toContain('is half of a migration');
    for (const source of [row(1, 'vm1'), rowOfKind.away(1, 'vm1')]) {
      const found = findProblems(nodes({ rows: [source] }, incoming));
      expect(found.filter(({ text: said }) => said.includes('domain 3'))).toEqual([]);
    }
  });

  it('finds a writer beside a reader', () => {
    expect(
      kindsOf(
        nodes({}, {}, [
          [config(body), reader],
          [config(body), reader],
        ]),
      ),
    ).toEqual(['shared-volume']);
  });
});
