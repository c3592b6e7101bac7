/**
 * Two nodes of the Xen lab under cxmd: heartbeat disk on their SAN, key, a fence command that asks the test to take the
 * power, two guests on volumes of their own, and what a test of the daemon asks and waits for.
 *
 * A node that is off stays so until the test starts it again, and boots like one without systemd: its heartbeat disk and
 * its daemon are started from here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect } from 'vitest';
import type { NodeReport, StatusReport } from '../../src/ha/daemon/view.ts';
import {
  askDaemon,
  attachHeartbeatDisk,
  daemonConfiguration,
  fenceProgram,
  heartbeatTable,
  pidFile,
  serveFences,
  startDaemon,
  type DaemonTimes,
} from '../lab/daemons.ts';
import { lab } from '../lab/lab.ts';
import { nodeLayout, type NodeName } from '../lab/layout.ts';
import { both, cxmOk, only, other, places, placesOn, prepareNodes } from './core.ts';
import { guestsOn } from './guest.ts';
import type { LabGuests } from './lab-guests.ts';
import { throttleSan } from './qemu.ts';
import { configure, makeGuestVolume } from './toolstack.ts';
import type { Witness } from './witness.ts';

export interface DaemonGuest {
  readonly name: string;
  readonly disk: string;
  readonly address: string;
}

export const web: DaemonGuest = { name: 'web', disk: '/dev/VG0/web', address: '10.77.0.101' };
export const db: DaemonGuest = { name: 'db', disk: '/dev/VG0/db', address: '10.77.0.102' };

/** An emulated node is slow, and must not count as lost for that. */
export const timerSeconds = 6;
export const patience = { timeout: 300_000, interval: 2000 };

const times: DaemonTimes = { fenceSeconds: 120, timerSeconds, shutdownSeconds: 60, connectSeconds: 20 };
export const daemonConf = (more = ''): string => daemonConfiguration(times, more);
/** The end of the shared disk belongs to no volume group: the heartbeat disk lies there. */
const [groupMib, heartbeatAtMib, heartbeatMib] = [4000, 4088, 8];
const heartbeatDisk = heartbeatTable('/dev/vdb', heartbeatAtMib, heartbeatMib);

/** Takes the power of a node when a fence command asks for it. */
export class Fencer {
  /** Nodes whose power was taken on cxmd's word, in order. */
  readonly fenced: NodeName[] = [];
  /** Fence commands fail, and nothing happens to the node. */
  isBroken = false;
  /** What happens to the node between the order and the end of its power. */
  beforePowerOff: (node: NodeName) => Promise<void> = async () => undefined;
  private readonly server = serveFences((node) => this.takePower(node));

  close(): void {
    this.server.close();
  }

  private async takePower(node: NodeName): Promise<string> {
    if (this.isBroken) return 'broken';
    await this.beforePowerOff(node);
    await lab.kill(node);
    this.fenced.push(node);
    return 'off';
  }
}

/** From a lab as it is to two daemons that begin, with both guests ready to be created on either node. */
export async function prepareDaemons(): Promise<Fencer> {
  await lab.reset();
  await prepareNodes(daemonConf(), { '/root/fence': fenceProgram });
  await lab.node('node1', `pvresize -qq -y --setphysicalvolumesize ${groupMib}M /dev/vdb`);
  const key = await lab.output('node1', 'head -c 32 /dev/urandom | base64');
  const names = [web, db].map(({ name, address }) => `${address} ${name}`).join('\n');
  for (const node of both) {
    await lab.node(node, '(umask 077; cat > /etc/xen/cxmd.key)', { input: `${key}\n` });
    await lab.node(node, 'cat >> /etc/hosts', { input: `${names}\n` });
  }
  const fencer = new Fencer();
  for (const guest of [web, db]) {
    await makeGuestVolume('node1', guest.name);
    await lab.node('node1', `lvchange -an VG0/${guest.name}`);
    for (const node of both) await configure(node, guest);
  }
  for (const node of both) await attachHeartbeatDisk(node, heartbeatDisk);
  await lab.node('node1', 'cxmd_ctl --format --yes');
  await Promise.all(both.map(startDaemon));
  return fencer;
}

/** For the head of a test file: the guests are watched all the time, and nothing that can't be may be seen in any test. */
export function watchOver(guests: LabGuests, fencer: () => Fencer): void {
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await showLogs();
    expect(guests.takeWrong()).toEqual([]);
  });
  afterAll(async () => {
    await guests.end();
    fencer().close();
  });
}

/** From now on each access to the heartbeat disk is an error; volumes of VMs are as good as before. */
export async function breakHeartbeatDisk(node: NodeName): Promise<void> {
  await lab.node(node, 'DM_DISABLE_UDEV=1 dmsetup wipe_table heartbeat');
}

/** As it was before `breakHeartbeatDisk`. */
async function mendHeartbeatDisk(node: NodeName): Promise<void> {
  const load = `dmsetup load heartbeat --table '${heartbeatDisk}' && dmsetup resume heartbeat`;
  await lab.node(node, `export DM_DISABLE_UDEV=1; dmsetup table heartbeat | grep -q linear || { ${load}; }`);
}

/** Whatever of the SAN a node uses hangs, until `freeSan`. */
export async function hangSan(node: NodeName): Promise<void> {
  await throttleSan(nodeLayout(node), 1);
}

/** The SAN is as fast as it can be, for a node that has not lost its power meanwhile. */
export async function freeSan(node: NodeName): Promise<void> {
  try {
    if (lab.isRunning(node)) await throttleSan(nodeLayout(node), 0);
  } catch (error) {
    if (lab.isRunning(node)) throw error;
  }
}

export async function signalDaemon(node: NodeName, signal: 'TERM' | 'HUP' | 'KILL'): Promise<void> {
  await lab.node(node, `kill -${signal} "$(cat ${pidFile})"`);
}

export async function endDaemon(node: NodeName): Promise<void> {
  await signalDaemon(node, 'TERM');
  await lab.node(node, `while kill -0 "$(cat ${pidFile})" 2>/dev/null; do sleep 0.5; done`);
}

/** Waits until the node answers, or has lost its power meanwhile. */
async function hasNoDaemon(node: NodeName): Promise<boolean> {
  let said = '';
  const answered = async (): Promise<string> => {
    if (!lab.isRunning(node)) return (said = 'off');
    const text = `kill -0 "$(cat ${pidFile})" && echo runs || echo none`;
    return (said = (await lab.node(node, text, { okExitCodes: 'any' })).stdout.trim());
  };
  await expect.poll(answered, patience).toMatch(/^(off|runs|none)$/);
  return said === 'none';
}

export const statusOf = (node: NodeName): Promise<StatusReport | undefined> =>
  askDaemon<StatusReport>(node, '--status');

/** What a node knows of all nodes; nothing when its daemon does not answer. */
export async function nodesSeenBy(node: NodeName): Promise<readonly NodeReport[]> {
  return (await askDaemon<readonly NodeReport[]>(node, '--list-nodes')) ?? [];
}

/** The master that these members agree on in state normal; undefined while they don't. */
async function agreedMaster(nodes: readonly NodeName[]): Promise<NodeName | undefined> {
  const all = await Promise.all(nodes.map(statusOf));
  const master = all[0]?.master;
  const agree = all.every((one) => one?.isMember && one.state === 'normal' && one.master === master);
  return agree ? (master as NodeName | undefined) : undefined;
}

/** Waits until these are members, in state normal, and agree on a master; who that is. */
export async function settled(nodes: readonly NodeName[] = both): Promise<NodeName> {
  let master: NodeName | undefined;
  await expect.poll(async () => (master = await agreedMaster(nodes)), patience).toBeDefined();
  return master as NodeName;
}

/** The VMs in a node's slot, as the other one has read it: those that run there or are on their way. */
async function claimsOf(node: NodeName): Promise<readonly string[]> {
  return (await nodesSeenBy(other(node))).find(({ name }) => name === node)?.vms ?? [];
}

/** Waits until a node's slot tells of the VM: what is not in it is not started elsewhere. */
export async function known(vm: string, node: NodeName): Promise<void> {
  await expect.poll(() => claimsOf(node), patience).toContain(vm);
  await sleep(2 * timerSeconds * 1000);
}

/** Starts it there, wherever it was before. */
export async function runOn(node: NodeName, guest: DaemonGuest, witness: Witness): Promise<void> {
  await cxmOk(node, `create ${guest.name} -f ${node}`);
  await witness.begins();
  await known(guest.name, node);
}

/** @param prepare what else the boot of this node does before its daemon starts */
async function powerOn(node: NodeName, prepare?: (node: NodeName) => Promise<void>): Promise<void> {
  await lab.start(node);
  await attachHeartbeatDisk(node, heartbeatDisk);
  await prepare?.(node);
  await startDaemon(node);
}

export async function bringBack(node: NodeName): Promise<void> {
  await powerOn(node);
  await settled();
}

/** Waits until the other node knows for certain that this one is off, and has done what it does about that. */
export async function foundOff(node: NodeName): Promise<void> {
  const heir = other(node);
  const isOver = async (): Promise<boolean> => {
    if (lab.isRunning(node) || (await agreedMaster([heir])) !== heir) return false;
    return (await nodesSeenBy(heir)).some(({ name, role }) => name === node && role === 'off');
  };
  await expect.poll(isOver, patience).toBe(true);
}

/**
 * Undoes what was done to the nodes, and waits until they are a cluster again; who is its master. What the cluster is
 * about to do is waited for: a node that is started in the middle of its fencing would only lose its power again.
 */
export async function mend(prepare?: (node: NodeName) => Promise<void>): Promise<NodeName> {
  for (const node of both.filter((one) => lab.isRunning(one))) {
    lab.cont(node);
    lab.heal(node);
    await freeSan(node);
    const isWithout = await hasNoDaemon(node);
    if (lab.isRunning(node)) await mendHeartbeatDisk(node);
    if (isWithout) await startDaemon(node);
  }
  const atPeace = async (): Promise<boolean> => {
    const on = both.filter((node) => lab.isRunning(node));
    if (on.length > 0 && (await agreedMaster(on)) === undefined) return false;
    const seen = on[0] === undefined ? [] : await nodesSeenBy(on[0]);
    return seen.every(({ name, role }) => role === 'off' || on.some((node) => node === name));
  };
  await expect.poll(atPeace, patience).toBe(true);
  await Promise.all(both.filter((node) => !lab.isRunning(node)).map((node) => powerOn(node, prepare)));
  return settled();
}

/** What the daemons have said lately, for whoever reads of a test that has failed. A node that is off says nothing. */
export async function showLogs(): Promise<void> {
  for (const node of both.filter((one) => lab.isRunning(one))) {
    const look = 'date +%T; xl list; tail -n 60 /var/log/cxmd.log';
    const { stdout } = await lab.node(node, look, { okExitCodes: 'any' });
    process.stderr.write(`--- ${node}\n${stdout}\n`);
  }
}

/** Waits until the guests run here. */
export async function takenOver(node: NodeName, ...names: readonly string[]): Promise<void> {
  await expect.poll(() => placesOn(node), patience).toEqual(only(...names));
}

/**
 * Waits until each guest runs on one node, on its volume, no other volume is active, and no node claims more than it runs, as
 * while a migration is under way. Fails if a guest was seen on both nodes meanwhile: on one, the other, and the first one still.
 */
export async function exactlyOnce(...names: readonly string[]): Promise<void> {
  const twice = new Set<string>();
  const isSo = async (): Promise<boolean> => {
    const [first, second, again] = [await guestsOn('node1'), await guestsOn('node2'), await guestsOn('node1')];
    for (const name of second) if (first.includes(name) && again.includes(name)) twice.add(name);
    if (twice.size > 0) return true;
    const claims = { node1: await claimsOf('node1'), node2: await claimsOf('node2') };
    const now = await places();
    const atRest = both.every((node) => {
      const { guests, active } = now[node];
      return guests.join() === active.join() && guests.join() === [...claims[node]].sort().join();
    });
    return (
      atRest &&
      both
        .flatMap((node) => now[node].guests)
        .sort()
        .join() === [...names].sort().join()
    );
  };
  await expect.poll(isSo, patience).toBe(true);
  expect([...twice]).toEqual([]);
}
