/**
 * A deploy or restore that oned has given up and that lives on: its VM is cancelled meanwhile, and may have disks for
 * another host by the time it goes on.
 */
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { noteCancelled } from '../../../src/agent/operations/domain-cancelled.ts';
import type { DomainHost } from '../../../src/agent/operations/domain-host.ts';
import { domainManager } from '../../../src/agent/operations/domain-manager.ts';
import { monotonicMs } from '../../../src/host/clock.ts';
import { TestHosts, vmDocument } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;
const deployId = 'web-7';
const disks = ['lv-one-7-0', 'lv-one-7-1'];

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(async () => {
  await hosts.reset();
  await hosts.addDisks(vmId, 0, 1);
});

const request = () => ({ vmId, directory: hosts.directory(vmId), deployment: vmDocument(vmId), document: undefined });
const deploy = (begunMs?: number) => hosts.manager('a').deploy({ ...request(), begunMs });
const cancel = () => hosts.manager('a').cancel({ vmId, deployId });
const givenUp = { code: 'INTERRUPTED', message: 'VM 7 has been cancelled since this action began' };

async function expectNothing(): Promise<void> {
  expect(await hosts.domains('a')).toEqual([]);
  expect(await hosts.active('a')).toEqual([]);
  expect(hosts.config('a', deployId)).toBeUndefined();
  expect(hosts.hasAutostart('a', deployId)).toBe(false);
}

/** Host a, where something of its toolstack or volume group is done by `instead`. */
function hostWith<K extends 'toolstack' | 'volumes'>(
  part: K,
  method: keyof DomainHost[K],
  instead: (real: DomainHost[K], ...args: never[]) => Promise<unknown>,
) {
  const host = hosts.host('a');
  const changed = new Proxy(host[part], {
    get: (real, key) =>
      key === method
        ? (...args: never[]) => instead(real, ...args)
        : typeof Reflect.get(real, key) === 'function'
          ? (Reflect.get(real, key) as (...args: unknown[]) => unknown).bind(real)
          : (Reflect.get(real, key) as unknown),
  });
  return domainManager({ ...host, [part]: changed });
}

describe('a deploy', () => {
  it(
    'that still waits for LVM when its VM is cancelled does not start it on the new disks',
    { timeout: 60_000 },
    async () => {
      const gate = new EventEmitter();
      const opened = once(gate, 'open');
      const waits = once(gate, 'waits');
      const slow = hostWith('volumes', 'activate', async (real, name: string) => {
        gate.emit('waits');
        await opened;
        return real.activate(name, 'exclusive');
      });
      const end = slow.deploy(request()).catch((error: unknown) => error);
      await waits;
      expect(await cancel()).toEqual({ ended: 'absent' });
      for (const disk of disks) await hosts.volumes('a').remove(disk);
      await hosts.addDisks(vmId, 0, 1);
      await hosts.manager('b').deploy(request());
      gate.emit('open');
      expect(await end).toMatchObject({ ...givenUp, changed: 'rolled-back' });
      await expectNothing();
      expect(await hosts.domains('b')).toEqual(['web-7: running']);
    },
  );

  it('that has not come to the helper when its VM is cancelled is refused there, and a later one is not', async () => {
    const begunMs = monotonicMs();
    await cancel();
    await expect(deploy(begunMs)).rejects.toMatchObject({ ...givenUp, changed: 'nothing' });
    await expectNothing();
    expect(await deploy(monotonicMs() + 1)).toMatchObject({ deployId });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
  });

  it('whose VM is cancelled while xl makes the domain takes it back', async () => {
    const manager = hostWith('toolstack', 'create', async (real, path: string) => {
      await real.create(path);
      noteCancelled(hosts.host('a'), vmId);
    });
    await expect(manager.deploy(request())).rejects.toMatchObject({ ...givenUp, changed: 'rolled-back' });
    await expectNothing();
  });

  it('is not kept from starting by a cancel before the last boot of the host', async () => {
    const { runDirectory } = hosts.host('a');
    mkdirSync(runDirectory, { recursive: true });
    writeFileSync(`${runDirectory}/vm-${vmId}.cancelled`, `another-boot ${monotonicMs() + 1e9}\n`);
    expect(await deploy()).toMatchObject({ deployId });
  });
});

describe('a restore', () => {
  const checkpoint = (): string => `${hosts.directory(vmId)}/checkpoint`;
  const restoring = (begunMs?: number) => ({
    vmId,
    deployId,
    checkpoint: checkpoint(),
    directory: hosts.directory(vmId),
    document: vmDocument(vmId),
    begunMs,
  });
  beforeEach(async () => {
    await deploy();
    await hosts.manager('a').save({ vmId, deployId, checkpoint: checkpoint() });
  });

  it('that has not come to the helper when its VM is cancelled is refused there', async () => {
    const begunMs = monotonicMs();
    await cancel();
    await expect(hosts.manager('a').restore(restoring(begunMs))).rejects.toMatchObject(givenUp);
    await expectNothing();
    expect(existsSync(checkpoint())).toBe(true);
  });

  it('whose VM is cancelled while xl reads its memory never lets the guest run', async () => {
    const manager = hostWith('toolstack', 'restore', async (real, ...args: never[]) => {
      await (real.restore as (...all: never[]) => Promise<void>)(...args);
      noteCancelled(hosts.host('a'), vmId);
    });
    await expect(manager.restore(restoring())).rejects.toMatchObject({ ...givenUp, changed: 'rolled-back' });
    expect(await hosts.domains('a')).toEqual([]);
    expect(await hosts.active('a')).toEqual([]);
    expect(existsSync(checkpoint())).toBe(true);
  });
});
