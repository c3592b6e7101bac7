import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MonitoredDomain } from '../../../src/agent/operations/monitor.ts';
import { formatStatusMemory, parseStatusMemory, statusReport, type StatusMemory } from '../../../src/one/im/status.ts';

function domain(
  vmId: number,
  meaning: MonitoredDomain['meaning'] = 'running',
  more: Partial<MonitoredDomain> = {},
): MonitoredDomain {
  return {
    id: vmId + 1,
    name: `vm${vmId}`,
    meaning,
    vm: { id: vmId, by: 'marker' },
    vcpus: 1,
    memoryKib: 1024,
    ...more,
  };
}

const down = (vmId: number, shutdown: NonNullable<MonitoredDomain['shutdown']>) =>
  domain(vmId, 'shutDown', { shutdown });

/** Reports at 5 s, the first whole list at 100 s. What each one printed. */
function reports(...looks: (readonly MonitoredDomain[])[]): (readonly string[])[] {
  let memory: StatusMemory | undefined;
  return looks.map((domains, index) => {
    const report = statusReport({ memory, domains, uptimeSeconds: 100 + 5 * index, syncSeconds: 180 });
    memory = parseStatusMemory(formatStatusMemory(report.memory));
    expect(memory).toEqual(report.memory);
    return report.lines;
  });
}

const line = (vmId: number, state: string): string => `VM = [ ID="${vmId}", DEPLOY_ID="vm${vmId}", STATE="${state}" ]`;
const synced = (...lines: string[]): string[] => ['SYNC_STATE=yes', 'MISSING_STATE=UNKNOWN', ...lines];

describe('vm/status', () => {
  it('lists all VMs at first, then only what has changed', () => {
    expect(reports([domain(1), domain(2)], [domain(1), domain(2)], [domain(1), domain(2), domain(3)])).toEqual([
      synced(line(1, 'RUNNING'), line(2, 'RUNNING')),
      [],
      [line(3, 'RUNNING')],
    ]);
  });

  it('lists all VMs again when the time has come, and after a restart of the host', () => {
    const first = statusReport({ memory: undefined, domains: [domain(1)], uptimeSeconds: 1000, syncSeconds: 180 });
    const report = (uptimeSeconds: number) =>
      statusReport({ memory: first.memory, domains: [domain(1)], uptimeSeconds, syncSeconds: 180 }).lines;
    expect(report(1179)).toEqual([]);
    expect(report(1180)).toEqual(synced(line(1, 'RUNNING')));
    expect(report(30)).toEqual(synced(line(1, 'RUNNING')));
  });

  it('says that all VMs are missing when a host is empty', () => {
    expect(reports([])).toEqual([synced()]);
  });

  it('reports a VM that is gone as unknown, after three looks, once', () => {
    expect(reports([domain(1), domain(2)], [domain(2)], [domain(2)], [domain(2)], [domain(2)]).slice(1)).toEqual([
      [],
      [],
      [line(1, 'FAILURE')],
      [],
    ]);
  });

  it('says nothing when a VM is away for two looks, as in a restart', () => {
    expect(reports([domain(1)], [], [], [domain(1)], [], []).slice(1)).toEqual([[], [], [], [], []]);
  });

  it('keeps a VM that is away for two looks in the whole list', () => {
    const { memory } = statusReport({ memory: undefined, domains: [domain(1)], uptimeSeconds: 1000, syncSeconds: 180 });
    expect(statusReport({ memory, domains: [], uptimeSeconds: 1200, syncSeconds: 180 }).lines).toEqual(
      synced(line(1, 'RUNNING')),
    );
  });

  it('says nothing about a VM while it is being saved, migrated away, built or restarted', () => {
    const looks = [domain(1, 'leaving'), domain(1, 'building'), down(1, 'reboot'), down(1, 'softReset')];
    for (const look of looks) {
      const said = reports([domain(1)], [look], [look], [look], [look], [look]);
      expect(said.slice(1)).toEqual([[], [], [], [], []]);
    }
    expect(reports([domain(2, 'building')])).toEqual([synced()]);
  });

  const many = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);

  it.each([
    ['waits for a restart', down(1, 'reboot')],
    ['waits for a soft reset', down(1, 'softReset')],
    ['is suspended', domain(1, 'leaving', { shutdown: 'suspend' })],
  ])('reports a VM as unknown whose domain %s for half a minute: nobody lets it go on; and once', (_, waiting) => {
    const looks = [[domain(1)], ...many(8, [waiting]), [domain(1)]];
    const said = [[], [], [], [], [], [line(1, 'FAILURE')], [], [], [line(1, 'RUNNING')]];
    expect(reports(...looks).slice(1)).toEqual(said);
  });

  it('says nothing about a VM that is built for long, or that restarts again and again', () => {
    expect(reports([domain(1)], ...many(20, [domain(1, 'building')])).flat()).toEqual(synced(line(1, 'RUNNING')));
    const restarts = many(20, 0).map((_, index) => [domain(1, 'shutDown', { shutdown: 'reboot', id: 10 + index })]);
    expect(reports([domain(1)], ...restarts).flat()).toEqual(synced(line(1, 'RUNNING')));
  });

  it('keeps a VM that is being saved in the whole list', () => {
    const { memory } = statusReport({ memory: undefined, domains: [domain(1)], uptimeSeconds: 1000, syncSeconds: 180 });
    const again = statusReport({ memory, domains: [domain(1, 'leaving')], uptimeSeconds: 1200, syncSeconds: 180 });
    expect(again.lines).toEqual(synced(line(1, 'RUNNING')));
  });

  it('never takes a VM that arrives for one that runs here', () => {
    expect(reports([], [domain(1, 'incoming')], [domain(1)])).toEqual([synced(), [], [line(1, 'RUNNING')]]);
  });

  it('takes a paused VM for a running one: oned would try to restore a checkpoint that is not there', () => {
    expect(reports([domain(1)], [domain(1, 'paused')], [domain(1, 'paused')], [domain(1, 'paused')]).slice(1)).toEqual([
      [],
      [],
      [],
    ]);
  });

  it('reports an end only when it lasts, and the domain going away afterwards says nothing more', () => {
    expect(reports([domain(1)], [down(1, 'powerOff')], [domain(1)]).slice(1)).toEqual([[], []]);
    const off = [down(1, 'powerOff')];
    expect(reports([domain(1)], off, off, off, [], [], [], []).slice(1)).toEqual([
      [],
      [line(1, 'POWEROFF')],
      [],
      [],
      [],
      [],
      [],
    ]);
  });

  it('reports a crash and a watchdog as failure', () => {
    for (const cause of ['crash', 'watchdog'] as const) {
      expect(reports([domain(1)], [down(1, cause)], [down(1, cause)]).slice(1)).toEqual([[], [line(1, 'FAILURE')]]);
    }
  });

  it('reports a VM that runs again after its end', () => {
    const off = [down(1, 'powerOff')];
    expect(reports([domain(1)], off, off, [domain(1)]).at(-1)).toEqual([line(1, 'RUNNING')]);
  });

  it('reports a new deploy id, which oned then carries', () => {
    const renamed = domain(1, 'running', { name: 'new-name' });
    expect(reports([domain(1)], [renamed]).at(-1)).toEqual(['VM = [ ID="1", DEPLOY_ID="new-name", STATE="RUNNING" ]']);
  });

  it('lets the domain that runs speak for a VM with two, and a marker before a name', () => {
    const leaving = domain(1, 'leaving', { id: 50 });
    expect(reports([leaving, domain(1)], [domain(1), leaving])).toEqual([synced(line(1, 'RUNNING')), []]);
    const pretender = domain(1, 'running', { id: 60, name: 'one-1', vm: { id: 1, by: 'name' } });
    expect(reports([pretender, down(1, 'crash')])).toEqual([synced(line(1, 'FAILURE'))]);
  });

  it('is silent about domains of nobody and names that oned could not carry', () => {
    const wild: MonitoredDomain = { id: 9, name: 'wild', meaning: 'running', vcpus: 1, memoryKib: 1024 };
    expect(reports([wild, domain(2, 'running', { name: 'a" ]\nVM = [ ID="1' })])).toEqual([synced()]);
  });

  it('forgets a memory that is broken', () => {
    const machine = '{"deployId":"a","state":"RUNNING","doubts":0}';
    const good = `{"syncedAtSeconds":1,"machines":{"1":${machine}}}`;
    expect(parseStatusMemory(good)).toBeDefined();
    const broken = [
      '',
      'null',
      '[]',
      '{}',
      '{"syncedAtSeconds":1}',
      good.replace('"1":', '"x":'),
      good.replace('"a"', '"a\\""'),
      good.replace('RUNNING', 'BOOM'),
      good.replace('"doubts":0', '"doubts":0,"waiting":{"domainId":"1","looks":1}'),
      good.slice(0, -1),
    ];
    for (const text of broken) expect(parseStatusMemory(text), text).toBeUndefined();
  });

  it('agrees with oned after any history: what oned has put together is what runs, once nothing has changed for a while', () => {
    const meanings = ['running', 'paused', 'building', 'leaving', 'incoming', 'dying', 'shutDown'] as const;
    const lookArbitrary = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom(...meanings)), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(
        fc.array(lookArbitrary, { maxLength: 30 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 4 })),
        (history, last) => {
          const settled = last.map((vmId) => domain(vmId));
          const looks = [
            ...history.map((entries) =>
              entries.map(([vmId, meaning]) =>
                domain(vmId, meaning, meaning === 'shutDown' ? { shutdown: 'crash' } : {}),
              ),
            ),
            settled,
            settled,
            settled,
          ];
          const oned = new Map<string, string>();
          for (const lines of reports(...looks)) {
            if (lines.includes('SYNC_STATE=yes')) oned.forEach((_state, id) => oned.set(id, 'UNKNOWN'));
            for (const [, id = '', state = ''] of lines
              .join('\n')
              .matchAll(/ID="(\d+)", DEPLOY_ID="[^"]*", STATE="(\w+)"/g))
              oned.set(id, state);
          }
          for (const [id, state] of oned) expect(state === 'RUNNING').toBe(last.includes(Number(id)));
          for (const vmId of last) expect(oned.get(String(vmId))).toBe('RUNNING');
        },
      ),
    );
  });
});
