import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDomainList, type DomainRow } from '../../src/xen/domain-list.ts';
import {
  baselineOf,
  cpuPercent,
  cpuReading,
  formatCpuHistory,
  hostCpuPercent,
  parseCpuHistory,
  withReading,
  type CpuHistory,
} from '../../src/xen/metrics.ts';
import { recording } from './recording.ts';

const rows = parseDomainList(recording('xl-4.17-list-v').stdout);

function later(row: DomainRow, cpuSeconds: number): DomainRow {
  return { ...row, cpuSeconds: row.cpuSeconds + cpuSeconds };
}

describe('rates of CPU time', () => {
  const baseline = cpuReading(rows, 1000);

  it('are percent of one CPU since the baseline', () => {
    const [, vm1] = rows as [DomainRow, DomainRow];
    expect(cpuPercent(later(vm1, 15), baseline, 1030)).toBeCloseTo(50);
    expect(cpuPercent(vm1, baseline, 1030)).toBe(0);
  });

  it('never exceed the VCPUs of the domain nor the CPUs of the host', () => {
    const [, vm1] = rows as [DomainRow, DomainRow];
    expect(cpuPercent(later(vm1, 1e6), baseline, 1030)).toBe(100 * vm1.vcpus);
    expect(
      hostCpuPercent(
        rows.map((row) => later(row, 1e6)),
        2,
        baseline,
        1030,
      ),
    ).toBe(200);
  });

  it('count all of the time of a domain that has started since, a restarted one included', () => {
    const [, vm1] = rows as [DomainRow, DomainRow];
    expect(cpuPercent({ ...vm1, id: 77, cpuSeconds: 3 }, baseline, 1030)).toBeCloseTo(10);
  });

  it('add up over domains, domain 0 included', () => {
    expect(
      hostCpuPercent(
        rows.map((row) => later(row, 3)),
        8,
        baseline,
        1030,
      ),
    ).toBeCloseTo(10 * rows.length);
  });
});

describe('the history', () => {
  const reading = (uptimeSeconds: number) => cpuReading(rows, uptimeSeconds);

  it('gives no baseline at first, nor right after', () => {
    expect(baselineOf([], 1000)).toBeUndefined();
    expect(baselineOf([reading(1000)], 1000.4)).toBeUndefined();
  });

  it('gives the newest reading of 10 s and more, so that many reports in a row count from the same', () => {
    const history = [reading(1000), reading(1030)];
    expect(baselineOf(history, 1031)?.uptimeSeconds).toBe(1000);
    expect(baselineOf(history, 1040)?.uptimeSeconds).toBe(1030);
    expect(baselineOf([reading(1000)], 1005)?.uptimeSeconds).toBe(1000);
  });

  it('is not renewed within 10 s, or frequent reports would never have an old enough reading', () => {
    const history = [reading(1000)];
    expect(withReading(history, reading(1009))).toBe(history);
    expect(withReading(history, reading(1010))).toHaveLength(2);
  });

  it('forgets readings from before a restart of the host', () => {
    expect(withReading([reading(5000)], reading(20)).map(({ uptimeSeconds }) => uptimeSeconds)).toEqual([20]);
    expect(baselineOf([reading(5000)], 20)).toBeUndefined();
  });

  it('has an exact baseline whenever reports have gone on for 20 s, however often they come', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.1, max: 15, noNaN: true }), { maxLength: 100 }), (steps) => {
        let history: CpuHistory = [];
        let now = 100;
        for (const step of steps) {
          history = withReading(history, reading(now));
          now += step;
          const age = now - (baselineOf(history, now)?.uptimeSeconds ?? now);
          if (now >= 120 + 15) expect(age).toBeGreaterThanOrEqual(10);
          expect(age).toBeLessThanOrEqual(10 + 2 * 15);
        }
        expect(history.length).toBeLessThanOrEqual(2);
      }),
    );
  });

  it('comes back from its text, and anything else is an empty one', () => {
    const history = [reading(1000), reading(1030)];
    expect(parseCpuHistory(formatCpuHistory(history))).toEqual(history);
    for (const text of [
      '',
      'null',
      '{}',
      '[1]',
      '[{}]',
      '[{"uptimeSeconds":1}]',
      '[{"uptimeSeconds":"1","cpuSeconds":{}}]',
      '[{"uptimeSeconds":1,"cpuSeconds":{"a":"b"}}]',
    ]) {
      expect(parseCpuHistory(text)).toEqual([]);
    }
  });
});
