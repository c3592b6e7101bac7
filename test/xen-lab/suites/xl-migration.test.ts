/**
 * What the product takes for granted about migrations by xl, shown on the real one: who has the guest at each moment, when
 * a refusal by the target is noticed, and what becomes of the guest then. What happens on one host is in xl.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { meaningOf, needsMonitor, rowsOf, runsHere } from '../../../src/xen/domain-list.ts';
import { parseSaveHead } from '../../../src/xen/save-file.ts';
import { lab } from '../../lab/lab.ts';
import type { NodeName } from '../../lab/layout.ts';
import { askGuest, guestAnswers, guestCounts, guestInitramfs, guestKernel, guestsOn } from '../guest.ts';
import { configure, makeGuestVolume, meaningOn, toolstackOn, untilListed, watched, type Look } from '../toolstack.ts';

const address = '10.77.0.101';
const guest = { name: 'one', disk: '/dev/VG0/one', address };
const path = '/etc/xen/vm/one';
const source = toolstackOn('node1');
const target = toolstackOn('node2');

beforeAll(async () => {
  await lab.reset();
  await makeGuestVolume('node1', 'one');
  for (const node of ['node1', 'node2'] as const) await configure(node, guest);
  await source.create(path);
});

let boot = '';
let counted = 0;

beforeEach(async () => {
  boot = await guestAnswers(address);
  counted = await guestCounts(address);
});

/** Nothing of the guest was lost: it goes on counting, and has not booted. */
async function goesOn(): Promise<void> {
  expect(await guestCounts(address, await guestCounts(address, counted))).toBeGreaterThan(counted);
  expect(await askGuest(address, 'boot')).toBe(boot);
}

function failureOf(act: Promise<unknown>): Promise<unknown> {
  return act.then(
    () => undefined,
    (failure: unknown) => failure,
  );
}

/** What a saved guest says of itself. */
async function headOf(node: NodeName, file: string): Promise<Buffer> {
  return Buffer.from(await lab.output(node, `head -c 16384 ${file} | base64 -w0`), 'base64');
}

/** All that the rows of the guest meant, in their order, without repetitions. */
function meaningsIn(looks: readonly Look[]): readonly string[] {
  const meanings = looks.flatMap((look) => rowsOf(look, 'one').map(meaningOf));
  return meanings.filter((meaning, index) => meaning !== meanings[index - 1]);
}

test('a target whose volume is inactive refuses for its disk, and the guest goes on with its monitor', async () => {
  expect(await failureOf(source.migrate('one', 'node2'))).toMatchObject({ reason: 'missingDisk' });
  expect(await guestsOn('node2')).toEqual([]);
  await goesOn();
  const before = await source.find('one');
  await source.reboot('one');
  await untilListed('node1', (look) => rowsOf(look, 'one').some((row) => row.id !== before?.id && runsHere(row)));
  await lab.node('node2', 'lvchange -ay VG0/one');
});

test('a migration that meets its deadline ends, and the guest goes on at the source', async () => {
  expect(await failureOf(source.migrate('one', 'node2', { deadlineMs: 6000 }))).toMatchObject({ reason: 'timeout' });
  expect(await meaningOn('node1', 'one')).toBe('running');
  await goesOn();
  await untilListed('node2', (look) => look.length === 0);
});

test('a name taken on the target is noticed at the very end; the guest goes on without its monitor', async () => {
  await lab.node('node2', `sed '/^disk/d; /^vif/d' ${path} > /root/namesake.cfg`);
  await target.create('/root/namesake.cfg', { paused: true });
  const looks = await watched('node2', async () => {
    expect(await failureOf(source.migrate('one', 'node2'))).toMatchObject({ reason: 'nameTaken', code: 'NAME_TAKEN' });
  });
  expect(looks.flat().filter((row) => meaningOf(row) === 'incoming')).not.toEqual([]);
  expect(looks.flat().filter(runsHere)).toEqual([]);
  expect(await meaningOn('node1', 'one')).toBe('running');
  await goesOn();
  await target.destroy('one');
  expect(await guestsOn('node2')).toEqual([]);
  await source.reboot('one');
  await untilListed('node1', (look) => rowsOf(look, 'one').some(needsMonitor));
  await sleep(3000);
  expect(await meaningOn('node1', 'one')).toBe('shutDown');
  await source.destroy('one');
  await source.create(path);
});

test('a guest that moves runs on one node at every moment, arrives as --incoming, and counts on', async () => {
  let here: readonly Look[] = [];
  const there = await watched('node2', async () => {
    here = await watched('node1', () => source.migrate('one', 'node2'));
  });
  expect(meaningsIn(here)[0]).toBe('running');
  expect(meaningsIn(here).slice(1)).toEqual(['leaving']);
  expect(meaningsIn(there)).toEqual(['incoming', 'running']);
  const arriving = there.flat().filter((row) => row.name !== 'one' && row.name !== undefined);
  expect(new Set(arriving.map((row) => row.name))).toEqual(new Set(['one--incoming']));
  expect(await guestsOn('node1')).toEqual([]);
  await goesOn();
  expect(await meaningOn('node2', 'one')).toBe('running');
});

test('an interface whose attach failed lets a migration and a plain restore fail, and not a restore of ours', async () => {
  const nic = { mac: '02:00:0a:4d:00:99', bridge: 'nobr' };
  expect(await failureOf(target.networkAttach('one', nic))).toMatchObject({ reason: 'missingBridge' });
  // It is listed like any other, so that only the failure itself tells.
  expect(await target.networkList('one')).toMatchObject([{ state: 4 }, { index: 1, mac: nic.mac }]);
  expect(await failureOf(target.migrate('one', 'node1'))).toMatchObject({ reason: 'missingBridge' });
  expect(await guestsOn('node1')).toEqual([]);
  await goesOn();
  const file = '/var/tmp/one.save';
  await target.save('one', file);
  expect(parseSaveHead(await headOf('node2', file))).toMatchObject({
    ...{ type: 'pv', kernel: guestKernel, ramdisk: guestInitramfs },
    commandLine: expect.stringContaining('console=hvc0') as string,
  });
  expect(await failureOf(target.restore(file, { paused: true }))).toMatchObject({ reason: 'missingBridge' });
  expect(await guestsOn('node2')).toEqual([]);
  await target.restore(file, { paused: true, configPath: path });
  await target.unpause('one');
  await goesOn();

  expect(await failureOf(target.networkAttach('one', nic))).toMatchObject({ reason: 'missingBridge' });
  await target.networkDetach('one', 1);
  expect(await target.networkList('one')).toHaveLength(1);
});

test('a target that loses power ends the migration within the time of its keepalives, and the guest goes on', async () => {
  const started = Date.now();
  const failure = failureOf(target.migrate('one', 'node1', { connectionLostMs: 6000 }));
  await untilListed('node1', (look) => look.some((row) => meaningOf(row) === 'incoming'));
  await lab.kill('node1');
  const killed = Date.now();
  expect(await failure).toMatchObject({ reason: 'unreachable' });
  expect(killed - started).toBeLessThan(60_000);
  expect(Date.now() - killed).toBeLessThan(30_000);
  expect(await meaningOn('node2', 'one')).toBe('running');
  await goesOn();
});
