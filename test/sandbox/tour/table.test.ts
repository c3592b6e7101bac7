/** The closing table: what it says, and that it fits. */
import { describe, expect, it } from 'vitest';
import { closingTable, type StepResult } from '../../../src/sandbox/tour/table.ts';

const mib = 1024 ** 2;
const results: readonly StepResult[] = [
  { title: 'A VM from an archive of files', calls: 5, durationMs: 1540, diskBytes: 8192 * mib, sentBytes: 4 * mib },
  { title: 'Monitoring', calls: 4, durationMs: 460, diskBytes: undefined, sentBytes: 2048 },
  { title: 'Live migration', calls: 3, durationMs: 1000, diskBytes: 8192 * mib, sentBytes: 1024 },
];

describe('closingTable', () => {
  it('sets what was sent against the size of the disks, and adds up', () => {
    expect(closingTable(results, 100)).toEqual([
      '    step                           calls   time  disks   sent  of disks',
      ' 1  A VM from an archive of files      5  1.5 s  8 GiB  4 MiB    0.05 %',
      ' 2  Monitoring                         4  0.5 s         2 KiB',
      ' 3  Live migration                     3  1.0 s  8 GiB  1 KiB  < 0.01 %',
      '    all                               12  3.0 s         4 MiB',
    ]);
  });

  it.each([48, 60, 72, 80, 120])('fits into %i characters', (width) => {
    const lines = closingTable(results, width);
    expect(lines.filter((line) => line.length > width)).toEqual([]);
    expect(lines[1]).toContain('4 MiB');
  });
});
