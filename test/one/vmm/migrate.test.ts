import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DomainHost } from '../../../src/agent/operations/domain-host.ts';
import { domainManager } from '../../../src/agent/operations/domain-manager.ts';
import { CxmError } from '../../../src/errors.ts';
import { ToolstackError } from '../../../src/xen/toolstack-error.ts';
import type { Toolstack } from '../../../src/xen/toolstack.ts';
import { TestHosts, vmDocument } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;
const deployId = 'web-7';
const disks = ['lv-one-7-0', 'lv-one-7-1'];

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(() => start());

async function start(options: { readonly sharedConfiguration?: boolean } = {}): Promise<void> {
  await hosts.reset(options);
  hosts.reconnect('b');
  await hosts.addDisks(vmId, 0, 1);
  const deployment = vmDocument(vmId);
  await hosts.manager('a').deploy({ vmId, directory: hosts.directory(vmId), deployment, document: undefined });
}

const migrate = (settings: Record<string, string> = {}) =>
  hosts.manager('a', settings).migrate({ vmId, deployId, destination: 'b' });

async function expectAt(place: 'a' | 'b'): Promise<void> {
  const other = place === 'a' ? 'b' : 'a';
  expect([await hosts.domains(place), await hosts.domains(other)]).toEqual([['web-7: running'], []]);
  expect([await hosts.active(place), await hosts.active(other)]).toEqual([disks, []]);
  expect([hosts.hasAutostart(place, deployId), hosts.hasAutostart(other, deployId)]).toEqual([true, false]);
  expect(hosts.config(place, deployId)).toContain('# OpenNebula VM 7 (cxm)');
}

describe('migrate', () => {
  it('moves the guest with its disks, configuration and autostart link', async () => {
    expect(await migrate()).toEqual({ alreadyThere: false });
    await expectAt('b');
    expect(hosts.config('a', deployId)).toBeUndefined();
    expect(await hosts.guest('b', deployId)).toMatchObject({ moves: 1 });
  });

  it('leaves the configuration where both hosts share it', async () => {
    await start({ sharedConfiguration: true });
    const before = hosts.config('a', deployId);
    await migrate();
    await expectAt('b');
    expect(hosts.config('b', deployId)).toBe(before);
  });

  it('there and back again', async () => {
    await migrate();
    await hosts.manager('b').migrate({ vmId, deployId, destination: 'a' });
    await expectAt('a');
  });

  it('of a VM that the cluster has moved by itself succeeds, and cleans up at the source', async () => {
    await hosts.volumes('b').activate(disks[0] ?? '');
    await hosts.volumes('b').activate(disks[1] ?? '');
    hosts.writeConfig('b', deployId, hosts.config('a', deployId) ?? '');
    await hosts.migrateByHand('a', 'b', deployId);
    expect(await migrate()).toEqual({ alreadyThere: true });
    expect(await migrate()).toEqual({ alreadyThere: true });
    expect([await hosts.domains('b'), await hosts.domains('a')]).toEqual([['web-7: running'], []]);
    expect([await hosts.active('b'), await hosts.active('a')]).toEqual([disks, []]);
    expect([hosts.hasAutostart('b', deployId), hosts.hasAutostart('a', deployId)]).toEqual([true, false]);
  });

  it('of a VM whose disk is read through a snapshot is refused, and changes nothing', async () => {
    await hosts.volumes('a').snapshot('lv-one-7-1', 'lv-one-7-1_reading', 1024 ** 2, []);
    await expect(migrate()).rejects.toMatchObject({
      code: 'IN_USE',
      hint: expect.stringContaining('lvremove VG0/lv-one-7-1_reading') as string,
    });
    await hosts.volumes('a').remove('lv-one-7-1_reading');
    await expectAt('a');
    await migrate();
    await expectAt('b');
  });

  it('of a VM that runs on neither host fails and starts nothing', async () => {
    await hosts.xl('a', 'destroy', deployId);
    await expect(migrate()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect([await hosts.domains('a'), await hosts.domains('b')]).toEqual([[], []]);
  });

  it.each(['receive', 'copy', 'ready', 'start'] as const)(
    'that fails at the stage "%s" leaves the VM running at the source and nothing at the destination',
    async (stage) => {
      await hosts.turn('b', { migrateFailsAt: stage });
      await hosts.turn('a', { migrateFailsAt: stage });
      await expect(migrate()).rejects.toMatchObject({
        changed: 'rolled-back',
        message: expect.stringMatching(/VM 7 runs on here$/) as string,
      });
      await expectAt('a');
      expect(hosts.config('b', deployId)).toBeUndefined();
    },
  );

  it('to a host that never answers is given up after MIGRATE_TIMEOUT', { timeout: 90_000 }, async () => {
    await hosts.turn('b', { migrateFailsAt: 'hang' });
    await hosts.turn('a', { migrateFailsAt: 'hang' });
    await expect(migrate()).rejects.toMatchObject({ changed: 'rolled-back' });
    await hosts.turn('b', {});
    await expectAt('a');
  });

  it('to a host that can not be reached fails before anything is changed', async () => {
    hosts.cutOff('b');
    await expect(migrate()).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
    hosts.reconnect('b');
    await expectAt('a');
  });

  it('to a host where the name is taken is refused before the guest is touched', async () => {
    hosts.writeConfig('b', deployId, "name = 'web-7'\n");
    await expect(migrate()).rejects.toMatchObject({ code: 'NAME_TAKEN' });
    expect(hosts.config('b', deployId)).toBe("name = 'web-7'\n");
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(await hosts.active('b')).toEqual([]);
    expect(await hosts.guest('a', deployId)).toMatchObject({ moves: 0 });
  });
});

/** Host a with another migration in place of xl's. */
function sourceWith(migration: (real: Toolstack) => Promise<void>, changes: Partial<DomainHost> = {}) {
  const host = hosts.host('a');
  const toolstack = new Proxy(host.toolstack, {
    get: (real, key) => (key === 'migrate' ? () => migration(real) : (Reflect.get(real, key) as unknown)),
  });
  const manager = domainManager({ ...host, ...changes, toolstack });
  return { migrate: () => manager.migrate({ vmId, deployId, destination: 'b' }) };
}

describe('the autostart link of a VM that moves', () => {
  const links = () => [hosts.hasAutostart('a', deployId), hosts.hasAutostart('b', deployId)];

  it('is on no host while the VM may be handed over, so that a crash can not start it twice', async () => {
    let meanwhile: boolean[] | undefined;
    const source = sourceWith(async (real) => {
      await real.migrate(deployId, 'b');
      meanwhile = links();
    });
    await source.migrate();
    expect(meanwhile).toEqual([false, false]);
    await expectAt('b');
  });

  it('is back at the source when the VM has stayed there', async () => {
    let meanwhile: boolean[] | undefined;
    const source = sourceWith(() => {
      meanwhile = links();
      return Promise.reject(new ToolstackError('receiverFailed', 'XEN', 'no'));
    });
    await expect(source.migrate()).rejects.toMatchObject({ changed: 'rolled-back' });
    expect(meanwhile).toEqual([false, false]);
    await expectAt('a');
  });

  it('is left alone when the destination refuses', async () => {
    hosts.writeConfig('b', deployId, "name = 'web-7'\n");
    await expect(migrate()).rejects.toMatchObject({ code: 'NAME_TAKEN' });
    expect(links()).toEqual([true, false]);
  });
});

describe('the disks of a VM where LVM has locks', () => {
  async function lockedAfter(changes: Partial<DomainHost>): Promise<Map<string, string>> {
    const modes = new Map<string, string>();
    const { volumes } = hosts.host('a');
    const locked: DomainHost['volumes'] = new Proxy(volumes, {
      get: (real, key) => {
        if (key === 'info') return async () => ({ ...(await real.info()), lockType: 'sanlock' });
        if (key === 'activate') return (name: string, mode: string) => (modes.set(name, mode), Promise.resolve());
        return Reflect.get(real, key) as unknown;
      },
    });
    const failed = new ToolstackError('receiverFailed', 'XEN', 'no');
    await expect(sourceWith(() => Promise.reject(failed), { ...changes, volumes: locked }).migrate()).rejects.toThrow();
    return modes;
  }
  const exclusive = new Map(disks.map((name) => [name, 'exclusive']));

  it("are its host's alone again when the migration has failed", async () => {
    expect(await lockedAfter({})).toEqual(exclusive);
    await expectAt('a');
  });

  it("are its host's alone again when the destination refuses it", async () => {
    const call = () => Promise.reject(new CxmError('HOST_UNREACHABLE', 'no answer'));
    expect(await lockedAfter({ remote: { call } })).toEqual(exclusive);
  });
});

describe('a migration whose outcome is not clear at once', () => {
  const lost = new ToolstackError('handshakeLost', 'XEN', 'the connection was lost');
  /** Half a minute of looking passes at once. */
  const fastClock = () => {
    let now = 0;
    return {
      now: () => now,
      sleep: (milliseconds: number) => {
        now += milliseconds;
        return Promise.resolve();
      },
    };
  };
  const remoteThatFails = (times: number): Pick<DomainHost, 'remote'> => {
    const { remote } = hosts.host('a');
    let left = times;
    const call: typeof remote.call = (host, operation, parameters) => {
      if (operation !== 'domain-look' || left === 0) return remote.call(host, operation, parameters);
      left -= 1;
      return Promise.reject(new CxmError('HOST_UNREACHABLE', 'no answer'));
    };
    return { remote: { call } };
  };
  const rows: string[] = [];
  beforeEach(() => void rows.splice(0));
  /** A domain with the VM's disks under the name that a migration gives it. */
  const createRow = async (place: 'a' | 'b', name: string): Promise<void> => {
    const text = (hosts.config('a', deployId) ?? hosts.config('b', deployId) ?? '').replaceAll(
      `'${deployId}'`,
      `'${name}'`,
    );
    const file = `${hosts.base}/${name}.cfg`;
    writeFileSync(file, text);
    await hosts.host(place).toolstack.create(file);
    rows.push(...(await hosts.domains(place)));
  };

  it('has moved when the destination can be asked again and says so', async () => {
    const source = sourceWith(async (real) => {
      await real.migrate(deployId, 'b');
      throw lost;
    }, remoteThatFails(3));
    expect(await source.migrate()).toEqual({ alreadyThere: false });
    await expectAt('b');
  });

  it('is an error that changes nothing while the destination stays silent', async () => {
    const source = sourceWith(
      async (real) => {
        await real.migrate(deployId, 'b');
        throw lost;
      },
      { ...remoteThatFails(1000), clock: fastClock() },
    );
    await expect(source.migrate()).rejects.toMatchObject({
      changed: 'maybe',
      hint: expect.stringMatching(/xl list/) as string,
    });
    expect(await hosts.domains('b')).toEqual(['web-7: running']);
    expect(await hosts.active('a')).toEqual(disks);
    expect(hosts.hasAutostart('a', deployId)).toBe(false);
  });

  it('has stayed when the VM runs here, and what it left at the destination is waited for', async () => {
    const source = sourceWith(
      async () => {
        await createRow('b', 'web-7--incoming');
        setTimeout(() => void hosts.xl('b', 'destroy', 'web-7--incoming'), 1500);
        throw lost;
      },
      { clock: fastClock() },
    );
    await expect(source.migrate()).rejects.toMatchObject({ changed: 'rolled-back' });
    expect(rows).toEqual(['web-7--incoming: incoming']);
    await expectAt('a');
    expect(hosts.config('b', deployId)).toBeUndefined();
  });

  it('has moved when the VM runs there, and the domain that was left here is removed', async () => {
    const source = sourceWith(
      async (real) => {
        await real.migrate(deployId, 'b');
        await createRow('a', 'web-7--migratedaway');
        throw lost;
      },
      { clock: fastClock() },
    );
    expect(await source.migrate()).toEqual({ alreadyThere: false });
    expect(rows).toEqual(['web-7--migratedaway: leaving']);
    await expectAt('b');
  });
});
