/** What a cluster takes from its configuration, seen by the programs it runs. */
import { describe, expect, it } from 'vitest';
import { openCluster } from '../../src/cluster/open.ts';
import { cxmConfTable } from '../../src/config/cxm-conf.ts';
import { parseSettingsOf, resolveOf } from '../../src/config/load.ts';
import { realClock } from '../../src/host/clock.ts';
import type { Machine } from '../../src/host/hold.ts';

function clusterOf(settings: string, refresh = true) {
  const calls: string[] = [];
  const volume = (active: string) =>
    JSON.stringify({ report: [{ lv: [{ lv_name: 'shop', lv_uuid: 'u', lv_size: '4194304', lv_active: active }] }] });
  let active = 'active';
  const machine: Machine = {
    run(program, args) {
      calls.push([program, ...args].join(' '));
      const stdout = program === 'lvs' ? volume(active) : '';
      return Promise.resolve({ stdout, stderr: '', exitCode: program === 'dmsetup' ? 1 : 0 });
    },
    hold: () => Promise.reject(new Error('nothing is held here')),
  };
  const text = `ALLOWED_NODES = ['node1', 'node2']\n${settings}`;
  const configuration = resolveOf(cxmConfTable, parseSettingsOf(cxmConfTable, text, 'cxm.conf'));
  const reporter = { step: () => undefined, note: () => undefined };
  const { signal } = new AbortController();
  const cluster = openCluster({ configuration, machineOf: () => machine, refresh, reporter, signal });
  return {
    cluster,
    async activate(wasActive: boolean): Promise<readonly string[]> {
      active = wasActive ? 'active' : '';
      calls.length = 0;
      await cluster.nodes[0]?.volumes('VG0').activate('shop', 'exclusive');
      return calls.filter((call) => call.startsWith('lvchange'));
    },
  };
}

describe('a volume that is active already when it is activated', () => {
  const activation = 'lvchange --yes --activate ey VG0/shop';

  it('is loaded anew from the metadata, which another node may have changed', async () => {
    const { activate } = clusterOf('');
    expect(await activate(true)).toEqual(['lvchange --yes --refresh VG0/shop', activation]);
    expect(await activate(false)).toEqual([activation]);
  });

  it('is taken as it is with NOREFRESH and with --no-refresh', async () => {
    expect(await clusterOf('NOREFRESH = True').activate(true)).toEqual([activation]);
    expect(await clusterOf('', false).activate(true)).toEqual([activation]);
    expect(await clusterOf('NOREFRESH = False', false).activate(true)).toEqual([activation]);
  });
});

describe('the times of a cluster', () => {
  it('are those of the configuration, in milliseconds', () => {
    const { cluster } = clusterOf('SHUTDOWN_TIMEOUT = 7\nMIGRATE_TIMEOUT = 90\n');
    expect(cluster.settings).toMatchObject({ shutdownTimeoutMs: 7000, migrateTimeoutMs: 90_000 });
    expect(cluster.clock).toBe(realClock);
  });
});
