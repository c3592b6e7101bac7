/** What save, restore and deploy leave when they are cut off or fail in the middle. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DomainHost } from '../../../src/agent/operations/domain-host.ts';
import { domainManager } from '../../../src/agent/operations/domain-manager.ts';
import type { Toolstack } from '../../../src/xen/toolstack.ts';
import { ToolstackError } from '../../../src/xen/toolstack-error.ts';
import { TestHosts, vmDocument } from './hosts.ts';

let hosts: TestHosts;
const vmId = 7;
const disks = ['lv-one-7-0', 'lv-one-7-1'];

beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(async () => {
  await hosts.reset();
  await hosts.addDisks(vmId, 0, 1);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

const checkpoint = (): string => `${hosts.directory(vmId)}/checkpoint`;
const used = (): string => `${checkpoint()}.used`;
const unfinished = (): string => `${checkpoint()}.unfinished`;

function deploy(host = hosts.host('a')) {
  const parameters = { vmId, directory: hosts.directory(vmId), deployment: vmDocument(vmId), document: undefined };
  return domainManager(host).deploy(parameters);
}

function save(host = hosts.host('a')) {
  return domainManager(host).save({ vmId, deployId: 'web-7', checkpoint: checkpoint() });
}

function restore(host = hosts.host('a')) {
  const directory = hosts.directory(vmId);
  const parameters = { vmId, deployId: 'web-7', checkpoint: checkpoint(), directory, document: vmDocument(vmId) };
  return domainManager(host).restore(parameters);
}

/** Host a with some of its toolstack's work done differently; `real` does it as ever. */
function hostWith(change: (real: Toolstack) => Partial<Toolstack>): DomainHost {
  const host = hosts.host('a');
  const changed = change(host.toolstack);
  const toolstack = new Proxy(host.toolstack, {
    get(target, key) {
      const found: unknown = Reflect.get(changed, key) ?? Reflect.get(target, key);
      return typeof found === 'function' ? (found.bind(target) as unknown) : found;
    },
  });
  return { ...host, toolstack };
}

const timeout = () => new ToolstackError('timeout', 'TIMEOUT', 'xl unpause did not end within 60 s');

async function expectRestorable(): Promise<void> {
  expect(await hosts.domains('a')).toEqual([]);
  expect(await hosts.active('a')).toEqual([]);
  expect(hosts.hasAutostart('a', 'web-7')).toBe(false);
  expect([existsSync(checkpoint()), existsSync(used())]).toEqual([true, false]);
}

async function expectRestored(): Promise<void> {
  expect(await hosts.domains('a')).toEqual(['web-7: running']);
  expect(await hosts.guest('a', 'web-7')).toMatchObject({ moves: 1 });
  expect(await hosts.active('a')).toEqual(disks);
  expect(hosts.hasAutostart('a', 'web-7')).toBe(true);
  expect([existsSync(checkpoint()), existsSync(used())]).toEqual([false, false]);
}

describe('a restore', () => {
  beforeEach(async () => {
    await deploy();
    await save();
  });

  it('whose action is gone when xl has finished never lets the guest run, and can be repeated', async () => {
    const seen: string[] = [];
    const host = hostWith((real) => ({
      async restore(file, options) {
        await real.restore(file, options);
        seen.push(...(await hosts.domains('a')));
        hosts.goAway();
      },
    }));
    await expect(restore(host)).rejects.toMatchObject({ code: 'INTERRUPTED', changed: 'rolled-back' });
    expect(seen).toEqual(['web-7: building']);
    await expectRestorable();
    expect(await restore({ ...hosts.host('a'), signal: new AbortController().signal })).toEqual({ deployId: 'web-7' });
    await expectRestored();
  });

  it('sets the checkpoint aside before the guest runs, and drops it before it answers', async () => {
    const seen: boolean[] = [];
    const host = hostWith((real) => ({
      async unpause(id) {
        seen.push(existsSync(checkpoint()), existsSync(used()));
        await real.unpause(id);
      },
    }));
    await restore(host);
    expect(seen).toEqual([false, true]);
    await expectRestored();
  });

  it('is a success once the guest runs, whatever fails after that', async () => {
    const host = hostWith((real) => ({
      async unpause(id) {
        await real.unpause(id);
        mkdirSync(hosts.path('a', 'auto/web-7'), { recursive: true });
        hosts.goAway();
      },
    }));
    expect(await restore(host)).toEqual({ deployId: 'web-7' });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect([existsSync(checkpoint()), existsSync(used())]).toEqual([false, false]);
    expect(hosts.logged.join('\n')).toContain('without an autostart link');
  });

  it('is a success when xl reports a failed unpause, but the guest runs', async () => {
    await hosts.turn('a', { unpauseFails: 'after' });
    expect(await restore()).toEqual({ deployId: 'web-7' });
    await expectRestored();
  });

  it('gives the checkpoint its name back when the guest certainly did not run', async () => {
    await hosts.turn('a', { unpauseFails: 'before' });
    await expect(restore()).rejects.toMatchObject({ code: 'XEN', changed: 'rolled-back' });
    await expectRestorable();
    await hosts.turn('a', {});
    await restore();
    await expectRestored();
  });

  it('cut off between setting aside and the unpause ends the same when it is run again', async () => {
    const cutOff = hostWith(() => ({ unpause: () => Promise.reject(timeout()) }));
    await expect(restore(cutOff)).rejects.toMatchObject({
      changed: 'maybe',
      message: expect.stringContaining(used()) as string,
    });
    expect(await hosts.domains('a')).toEqual(['web-7: building']);
    expect([existsSync(checkpoint()), existsSync(used())]).toEqual([false, true]);
    expect(await restore()).toEqual({ deployId: 'web-7' });
    await expectRestored();
  });

  it('cut off after the unpause finds the guest running, and no memory of it stays', async () => {
    const cutOff = hostWith((real) => ({
      async unpause(id) {
        await real.unpause(id);
        throw timeout();
      },
      find: async (domain) => (typeof domain === 'number' ? Promise.reject(timeout()) : real.find(domain)),
    }));
    await expect(restore(cutOff)).rejects.toMatchObject({ changed: 'maybe' });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(await restore()).toEqual({ deployId: 'web-7' });
    await expectRestored();
  });

  it('cut off, whose guest may have run since, is refused with the name of the file, and touches nothing', async () => {
    const cutOff = hostWith((real) => ({
      async unpause(id) {
        await real.unpause(id);
        await real.destroy(id);
        throw timeout();
      },
    }));
    await expect(restore(cutOff)).rejects.toMatchObject({ changed: 'maybe' });
    const bytes = readFileSync(used());
    const refused = { code: 'NOT_FOUND', changed: 'nothing', message: expect.stringContaining(used()) as string };
    await expect(restore()).rejects.toMatchObject(refused);
    expect(await hosts.domains('a')).toEqual([]);
    expect(readFileSync(used()).equals(bytes)).toBe(true);
    expect(existsSync(checkpoint())).toBe(false);
  });

  it('does not take a domain that another made and that waits for its own', async () => {
    const cutOff = hostWith(() => ({ unpause: () => Promise.reject(timeout()) }));
    await expect(restore(cutOff)).rejects.toMatchObject({ changed: 'maybe' });
    await hosts.xl('a', 'destroy', 'web-7');
    await hosts.xl('a', 'create', '-p', join(hosts.configDirectory('a'), 'web-7'));
    const before = await hosts.xl('a', 'domid', 'web-7');
    await expect(restore()).rejects.toMatchObject({ code: 'NOT_FOUND', changed: 'nothing' });
    expect(await hosts.xl('a', 'domid', 'web-7')).toBe(before);
    expect(existsSync(used())).toBe(true);
  });
});

/** Waits of `from` ms end after `to`. */
function hurry(from: number, to: number): void {
  const real = setTimeout;
  const hurried = (work: () => void, delayMs?: number): NodeJS.Timeout => real(work, delayMs === from ? to : delayMs);
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(hurried as typeof setTimeout);
}

/** A `dd` that reads all, then does `then` with $of as its output. */
function replaceMover(then: string): void {
  const directory = join(hosts.base, 'movers');
  mkdirSync(directory, { mode: 0o755 });
  const script = [
    '#!/bin/sh',
    'for word in "$@"; do case $word in if=*) if=${word#if=};; of=*) of=${word#of=};; esac; done',
    `cat "$if" > "$of" && ${then}`,
  ];
  writeFileSync(join(directory, 'dd'), `${script.join('\n')}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${directory}:${process.env['PATH'] ?? ''}`);
}

describe('a save', () => {
  beforeEach(async () => void (await deploy()));

  it('whose success nobody has heard of can be repeated, and leaves the checkpoint as it is', async () => {
    await save();
    const bytes = readFileSync(checkpoint());
    expect(await save()).toEqual({});
    expect(readFileSync(checkpoint()).equals(bytes)).toBe(true);
    await restore();
    await expectRestored();
  });

  it('is no success for the sake of an older checkpoint once the VM has run again, or runs elsewhere', async () => {
    await save();
    const bytes = readFileSync(checkpoint());
    const guard = { ...hosts.host('a').guard, elsewhere: () => Promise.resolve('b') };
    await expect(save({ ...hosts.host('a'), guard })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await deploy();
    await hosts.manager('a').cancel({ vmId, deployId: 'web-7' });
    await expect(save()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(readFileSync(checkpoint()).equals(bytes)).toBe(true);
    await deploy();
    await hosts.xl('a', 'destroy', 'web-7');
    await expect(save()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(readFileSync(checkpoint()).equals(bytes)).toBe(true);
  });

  it('waits for a slow medium as long as it takes once xl has ended the guest', async () => {
    replaceMover('sleep 1');
    hurry(120_000, 100);
    await save();
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    await restore();
    await expectRestored();
  });

  it('keeps what was written when the medium fails after the guest has gone, and says where', async () => {
    replaceMover('{ echo "dd: fsync failed" >&2; exit 1; }');
    const error = { code: 'IO', changed: 'maybe', message: expect.stringContaining(unfinished()) as string };
    await expect(save()).rejects.toMatchObject(error);
    expect(await hosts.domains('a')).toEqual([]);
    expect(readFileSync(unfinished(), 'utf8')).toContain('Xen saved domain');
    expect([existsSync(checkpoint()), existsSync(`${checkpoint()}.cxm-new`)]).toEqual([false, false]);
  });

  it('that takes too long ends what writes the file, not xl, so that the guest runs on', async () => {
    await hosts.turn('a', { saveMs: 1500 });
    hurry(12 * 60 * 60_000, 300);
    await expect(save()).rejects.toMatchObject({ code: 'TIMEOUT', changed: 'rolled-back' });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect([checkpoint(), unfinished()].map((file) => existsSync(file))).toEqual([false, false]);
  });

  it('that fails says so also when the list can not be asked, and keeps what there is', async () => {
    await hosts.turn('a', { saveFails: 'ENOSPC' });
    const lost = new ToolstackError('noHypervisor', 'XEN', 'no list');
    const host = hostWith((real) => ({
      find: (domain) => (domain === 'x' ? real.find(domain) : Promise.reject(lost)),
    }));
    await expect(save(host)).rejects.toMatchObject({
      code: 'NO_SPACE',
      changed: 'maybe',
      message: expect.stringMatching(/No space left.*unknown/) as string,
    });
  });

  it('drops what earlier saves and restores have left', async () => {
    for (const file of [used(), unfinished()]) writeFileSync(file, 'older');
    await save();
    expect([checkpoint(), used(), unfinished()].map((file) => existsSync(file))).toEqual([true, false, false]);
  });
});

describe('a start that fails', () => {
  const broken = new ToolstackError('other', 'XEN', 'xl create failed: something');

  it('has no autostart link and says that a domain may be left when the list can not be asked', async () => {
    let failed = false;
    const host = hostWith((real) => ({
      create: (path) => {
        failed = true;
        return real.create(path).then(() => Promise.reject(broken));
      },
      list: () => (failed ? Promise.reject(new ToolstackError('noHypervisor', 'XEN', 'no list')) : real.list()),
    }));
    await expect(deploy(host)).rejects.toMatchObject({
      code: 'XEN',
      changed: 'maybe',
      message: expect.stringMatching(/something; left behind: domain web-7 \(no list\)$/) as string,
    });
    expect(hosts.hasAutostart('a', 'web-7')).toBe(false);
    expect(hosts.config('a', 'web-7')).toBeDefined();
    await hosts.manager('a').cancel({ vmId, deployId: undefined });
    expect([await hosts.domains('a'), await hosts.active('a')]).toEqual([[], []]);
  });

  it('names the domain that can not be destroyed, and claims nothing', async () => {
    const host = hostWith((real) => ({
      create: (path) => real.create(path).then(() => Promise.reject(broken)),
      destroy: () => Promise.reject(new ToolstackError('other', 'XEN', 'it stays')),
    }));
    await expect(deploy(host)).rejects.toMatchObject({
      changed: 'maybe',
      message: expect.stringMatching(/something; left behind: domain web-7 \(it stays\)$/) as string,
    });
    expect(await hosts.domains('a')).toEqual(['web-7: running']);
    expect(hosts.hasAutostart('a', 'web-7')).toBe(false);
    expect(await hosts.active('a')).toEqual(disks);
  });

  it('is rolled back when the domain ended by itself, whatever its destruction said', async () => {
    const host = hostWith((real) => ({
      create: (path) => real.create(path).then(() => Promise.reject(broken)),
      destroy: (id) => real.destroy(id).then(() => Promise.reject(new ToolstackError('other', 'XEN', 'it stays'))),
    }));
    await expect(deploy(host)).rejects.toMatchObject({ changed: 'rolled-back', message: broken.message });
    expect([await hosts.domains('a'), await hosts.active('a')]).toEqual([[], []]);
  });
});
