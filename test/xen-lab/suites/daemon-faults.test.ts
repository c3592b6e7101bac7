/**
 * What else happens to nodes under cxmd on real Xen than a loss of power: they lose their way to the SAN, the network, or
 * time. Both guests are watched from their first start to the end: there is never a second copy of one, and nothing that it
 * has counted is lost; each test says which of them are never interrupted, and who is fenced.
 *
 * A fence command that lies is no part of this: a fenced node is off. What wakes does so before it is missed, while the
 * fence command runs, or, where only a watchdog fences, after its VMs were started elsewhere.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startDaemon } from '../../lab/daemons.ts';
import { lab } from '../../lab/lab.ts';
import { nodeLayout, type NodeName } from '../../lab/layout.ts';
import { both, other, places } from '../core.ts';
import {
  breakHeartbeatDisk,
  daemonConf,
  endDaemon,
  exactlyOnce,
  freeSan,
  hangSan,
  mend,
  patience,
  prepareDaemons,
  settled,
  statusOf,
  takenOver,
  timerSeconds,
  watchOver,
  type Fencer,
} from '../daemons.ts';
import { guestsOn } from '../guest.ts';
import { LabGuests, type WitnessedGuest } from '../lab-guests.ts';

type FaultyRole = 'member' | 'master';

const timerMs = timerSeconds * 1000;
/** Of xen_wdt. */
const watchdogSeconds = 20;
const guests = new LabGuests();
let fencer: Fencer;
/** What the boot of a node does beside attaching its heartbeat disk. */
let prepare: ((node: NodeName) => Promise<void>) | undefined;

beforeAll(async () => {
  fencer = await prepareDaemons();
});

beforeEach(async () => {
  fencer.beforePowerOff = async () => undefined;
  await mend(prepare);
}, 600_000);

watchOver(guests, () => fencer);

interface Scene {
  readonly victim: NodeName;
  readonly heir: NodeName;
  /** Guests of the victim, one at least. */
  readonly here: readonly WitnessedGuest[];
  readonly elsewhere: readonly WitnessedGuest[];
  /** Nodes that have been fenced since. */
  fenced(): readonly NodeName[];
}

async function scene(role: FaultyRole): Promise<Scene> {
  const master = await settled();
  const victim = role === 'master' ? master : other(master);
  const before = fencer.fenced.length;
  return { victim, heir: other(victim), ...(await guests.inhabit(victim)), fenced: () => fencer.fenced.slice(before) };
}

const namesOf = (list: readonly WitnessedGuest[]): readonly string[] => list.map(({ name }) => name).sort();

/** As xl lists them: on the victim, and on the other node. */
async function guestsByNode({ victim, heir }: Scene): Promise<readonly (readonly string[])[]> {
  return [[...(await guestsOn(victim))].sort(), [...(await guestsOn(heir))].sort()];
}

/** What happens to guests when their node is lost. */
async function movedByFailover({ heir, here, elsewhere }: Scene): Promise<void> {
  await takenOver(heir, 'db', 'web');
  for (const { witness } of here) await witness.startedAnew();
  for (const { witness } of elsewhere) await witness.goesOn();
}

async function nothingHasHappened({ fenced }: Scene, homes: Awaited<ReturnType<typeof places>>): Promise<void> {
  await settled();
  await guests.goOn();
  expect(await places()).toEqual(homes);
  expect(fenced()).toEqual([]);
}

test('two guests run', () => guests.begin());

describe.each<FaultyRole>(['member', 'master'])('the %s', (role) => {
  test(
    'without its heartbeat disk is emptied, its VMs alive, and fenced when nothing runs on it',
    { timeout: 900_000 },
    async () => {
      const { victim, heir, fenced } = await scene(role);
      await breakHeartbeatDisk(victim);
      // Both guests, one after the other, over an emulated network.
      await expect.poll(fenced, { ...patience, timeout: 600_000 }).toEqual([victim]);
      await takenOver(heir, 'db', 'web');
      await guests.goOn();
      expect(await settled([heir])).toBe(heir);
    },
  );

  test('whose SAN hangs keeps its VMs, which go on when the SAN is back; nobody is fenced', async () => {
    const at = await scene(role);
    const { victim, heir, fenced } = at;
    await hangSan(victim);
    await sleep(8 * timerMs);
    await expect.poll(async () => (await statusOf(heir))?.master, patience).toBe(heir);
    expect(await guestsByNode(at)).toEqual([namesOf(at.here), namesOf(at.elsewhere)]);
    await freeSan(victim);
    await settled();
    // A migration away from it, which waited for the SAN, may have come to an end.
    await exactlyOnce('db', 'web');
    await guests.goOn();
    expect(fenced()).toEqual([]);
  });

  test('that freezes and wakes before it is missed goes on, as do its VMs', async () => {
    const at = await scene(role);
    const homes = await places();
    lab.stop(at.victim);
    await sleep(2 * timerMs);
    lab.cont(at.victim);
    // What it might do about it, it would have done by then.
    await sleep(4 * timerMs);
    await nothingHasHappened(at, homes);
  });

  test('that freezes and wakes while it is being fenced does nothing any more, and nothing is started before it is off', async () => {
    const at = await scene(role);
    const awake: unknown[] = [];
    fencer.beforePowerOff = async (node) => {
      lab.cont(node);
      await sleep(2 * timerMs);
      await expect.poll(async () => (await statusOf(node))?.role, { timeout: 60_000, interval: 1000 }).toBe('passive');
      awake.push(await guestsByNode(at));
    };
    lab.stop(at.victim);
    await movedByFailover(at);
    expect(awake).toEqual([[namesOf(at.here), namesOf(at.elsewhere)]]);
    expect(at.fenced()).toEqual([at.victim]);
  });
});

test('the master that is cut off the network keeps its VMs and is not fenced, nor is the other one', async () => {
  const at = await scene('master');
  const homes = await places();
  lab.cut(at.victim);
  await sleep(8 * timerMs);
  lab.heal(at.victim);
  await nothingHasHappened(at, homes);
});

/** As an administrator does who makes xen_wdt the second way to fence. */
async function loadWatchdog(node: NodeName): Promise<void> {
  await lab.node(node, `modprobe xen_wdt timeout=${watchdogSeconds}`);
  const device = await lab.output(node, 'cd /sys/class/watchdog/watchdog0 && cat identity timeout');
  expect(device).toMatch(new RegExp(`xen.*\\n${watchdogSeconds}$`, 'i'));
}

/** Waits until a node has lost its power without anybody having taken it, and Xen says why. */
async function resetByXen(node: NodeName): Promise<void> {
  await expect.poll(() => lab.isRunning(node), { ...patience, interval: 200 }).toBe(false);
  expect(readFileSync(nodeLayout(node).console, 'utf8')).toMatch(/watchdog rebooting machine/i);
  // Connections to it are ended, as there is nobody who would do it.
  await lab.kill(node);
}

describe('with xen_wdt, and a fence command that fails', () => {
  test('both daemons take the watchdog, and go on with it', async () => {
    prepare = loadWatchdog;
    fencer.isBroken = true;
    const conf = daemonConf(`WATCHDOG = "/dev/watchdog"\nWATCHDOG_TIMEOUT = ${watchdogSeconds}\n`);
    for (const node of both) {
      await loadWatchdog(node);
      await lab.node(node, 'cat > /etc/xen/cxm.conf', { input: conf });
      await endDaemon(node);
      await startDaemon(node);
      await settled();
    }
    await sleep((watchdogSeconds + 10) * 1000);
    expect(both.filter((node) => lab.isRunning(node))).toEqual(both);
    await guests.goOn();
  });

  test('a master that nobody sees or hears is reset by Xen, and only then its VMs are started', async () => {
    const at = await scene('master');
    lab.cut(at.victim);
    await hangSan(at.victim);
    await resetByXen(at.victim);
    expect([...(await guestsOn(at.heir))].sort()).toEqual(namesOf(at.elsewhere));
    await movedByFailover(at);
    expect(at.fenced()).toEqual([]);
    lab.heal(at.victim);
  });

  test('a frozen member whose VMs were started elsewhere does not run them when it wakes: Xen resets it at once', async () => {
    const at = await scene('member');
    lab.stop(at.victim);
    await movedByFailover(at);
    expect(lab.isRunning(at.victim)).toBe(true);
    lab.cont(at.victim);
    await expect.poll(() => lab.isRunning(at.victim), { timeout: 10_000, interval: 100 }).toBe(false);
    await resetByXen(at.victim);
    await sleep(2 * timerMs);
    await guests.goOn();
    expect(await settled([at.heir])).toBe(at.heir);
    expect(at.fenced()).toEqual([]);
  });
});
