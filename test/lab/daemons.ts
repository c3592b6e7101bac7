/**
 * cxmd on the lab's two nodes: set up as docs/ha.md tells, with a heartbeat disk at the end of their shared disk, and fenced
 * by the test, which takes the power when a node asks for it. A node that is off stays so until the test brings it back.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { NodeReport, StatusReport } from '../../src/ha/daemon/view.ts';
import { both, other } from '../xen-lab/core.ts';
import { lab } from './lab.ts';
import { checkout, frontendAddress, nodeLayout, nodeNames, type NodeName } from './layout.ts';

const fencerPort = 4242;
export const pidFile = '/run/cxmd.pid';
const log = '/var/log/cxmd.log';
export const timerSeconds = 3;
const patience = { timeout: 90_000, interval: 500 };

/** The end of the shared disk of 12 GiB belongs to no volume group: the heartbeat disk lies there. */
const disk = '/dev/ubda';
const [groupMib, heartbeatAtMib, heartbeatMib] = [12_000, 12_280, 8];
const heartbeatDisk = heartbeatTable(disk, heartbeatAtMib, heartbeatMib);

/** A part of a disk as a device of its own, for dmsetup. */
export function heartbeatTable(device: string, atMib: number, sizeMib: number): string {
  return `0 ${sizeMib * 2048} linear ${device} ${atMib * 2048}`;
}

export interface DaemonTimes {
  readonly fenceSeconds: number;
  readonly timerSeconds: number;
  readonly shutdownSeconds: number;
  readonly connectSeconds: number;
}

/** cxm.conf of both nodes. @param more lines of it */
export function daemonConfiguration(times: DaemonTimes, more: string): string {
  return `CLUSTER_NAME = "lab"
ALLOWED_NODES = ['node1', 'node2']
NODE_ADDRESSES = [${both.map((node) => `'${node}=${nodeLayout(node).address}'`).join(', ')}]
HB_DISK = "/dev/mapper/heartbeat"
FENCE_CMD = "/root/fence"
FENCE_TIMEOUT = ${times.fenceSeconds}
TIMER = ${times.timerSeconds}
SHUTDOWN_TIMEOUT = ${times.shutdownSeconds}
CONNECT_TIMEOUT = ${times.connectSeconds}
${more}`;
}

const times: DaemonTimes = { fenceSeconds: 30, timerSeconds, shutdownSeconds: 5, connectSeconds: 10 };

/** Asks the test to take the power of a node. */
export const fenceProgram = `#!/bin/bash
exec 3<>/dev/tcp/${frontendAddress}/${fencerPort} && echo "$1" >&3 && read -r said <&3 && [ "$said" = off ]
`;

/** As docs/install.md asks: a connection from a node without power must not hold a lock for ever. */
const sshSettings = `
  printf 'ClientAliveInterval 5\nClientAliveCountMax 3\n' >> /etc/lab/sshd_config
  kill -HUP $(pgrep -o -x sshd)
`;

/** @param more lines of cxm.conf. @param hosts lines of /etc/hosts */
export async function installDaemons(more: string, hosts: readonly string[]): Promise<void> {
  const key = await lab.output('node1', 'head -c 32 /dev/urandom | base64');
  await lab.node('node1', `pvresize -qq -y --setphysicalvolumesize ${groupMib}M ${disk}`);
  for (const node of both) {
    await lab.node(node, sshSettings);
    for (const program of ['cxmd', 'cxmd_ctl', 'one-migrate']) {
      const path = `/usr/local/sbin/${program}`;
      const input = readFileSync(join(checkout, 'dist/sbin', program));
      await lab.node(node, `cat > ${path} && chmod 755 ${path}`, { input });
    }
    await lab.node(node, 'cat > /root/fence && chmod +x /root/fence', { input: fenceProgram });
    await lab.node(node, 'cat > /etc/xen/cxm.conf', { input: daemonConfiguration(times, more) });
    await lab.node(node, '(umask 077; cat > /etc/xen/cxmd.key)', { input: `${key}\n` });
    await lab.node(node, 'cat >> /etc/hosts', { input: hosts.map((line) => `${line}\n`).join('') });
    await attachHeartbeatDisk(node, heartbeatDisk);
    // What a node has when its power is taken is what was synced.
    await lab.node(node, 'sync');
  }
  await lab.node('node1', 'cxmd_ctl --format --yes');
}

/** As the boot of a node does it: lost with its power. */
export async function attachHeartbeatDisk(node: NodeName, table: string): Promise<void> {
  await lab.node(node, `DM_DISABLE_UDEV=1 dmsetup create heartbeat --table '${table}'`);
}

export async function startDaemon(node: NodeName): Promise<void> {
  const line = `echo $$ > ${pidFile}; exec cxmd >> ${log} 2>&1 < /dev/null`;
  await lab.node(node, `setsid -f sh -c '${line}'`);
}

/** Ends it, if it runs, without a failover. */
export async function endDaemon(node: NodeName): Promise<void> {
  const pid = `"$(cat ${pidFile})"`;
  await lab.node(node, `kill -TERM ${pid} 2>/dev/null && while kill -0 ${pid} 2>/dev/null; do sleep 0.2; done; true`);
}

/** What the daemons have said and know of a VM, for the output of a test that failed. */
export async function daemonLogs(vm: string): Promise<string> {
  const logs = both.map(async (node) => {
    if (!lab.isRunning(node)) return `--- ${node} has no power\n`;
    const why = `cxmd_ctl --why ${vm}; xl list`;
    return `--- ${node}\n${await lab.output(node, `tail -n 80 ${log}; ${why}`).catch(String)}\n`;
  });
  return (await Promise.all(logs)).join('');
}

/** What cxmd of a node answers; undefined when it doesn't. */
export async function askDaemon<T>(node: NodeName, words: string): Promise<T | undefined> {
  const { exitCode, stdout } = await lab.node(node, `cxmd_ctl ${words} --json`, { okExitCodes: 'any' });
  return exitCode === 0 ? (JSON.parse(stdout) as T) : undefined;
}

/** Waits until these are members, in state normal, and agree on a master; who that is. */
export async function settled(nodes: readonly NodeName[] = both): Promise<NodeName> {
  let master: string | undefined;
  const agree = async (): Promise<boolean> => {
    const all = await Promise.all(nodes.map((node) => askDaemon<StatusReport>(node, '--status')));
    master = all[0]?.master;
    return master !== undefined && all.every((one) => one?.isMember && one.state === 'normal' && one.master === master);
  };
  await expect.poll(agree, patience).toBe(true);
  return master as NodeName;
}

/** How a node sees each of them, on the network and on the disk. */
export async function channels(node: NodeName): Promise<readonly string[]> {
  return ((await askDaemon<readonly NodeReport[]>(node, '--list-nodes')) ?? []).map(
    ({ net, disk: own }) => `${net} ${own}`,
  );
}

/** Waits until a node's slot tells of the VM: what is not in it is not started elsewhere. */
export async function known(vm: string, node: NodeName): Promise<void> {
  const told = async (): Promise<readonly string[] | undefined> =>
    (await askDaemon<readonly NodeReport[]>(other(node), '--list-nodes'))?.find(({ name }) => name === node)?.vms;
  await expect.poll(told, patience).toContain(vm);
  await sleep(timerSeconds * 1000);
}

/** A node without power boots and joins. */
export async function bringBack(node: NodeName): Promise<void> {
  await lab.start(node);
  await attachHeartbeatDisk(node, heartbeatDisk);
  await startDaemon(node);
  await settled();
}

export interface Fencing {
  readonly node: NodeName;
  /** When the node had no power any more, by the clock of performance.now(). */
  readonly offMs: number;
}

/** Whom `fenceProgram` asks. @param takePower tells how that has ended; `off` is success */
export function serveFences(takePower: (node: NodeName) => Promise<string>): Server {
  const server = createServer((connection) => {
    connection.on('error', () => undefined);
    connection.once('data', (line) => {
      const node = nodeNames.find((name) => name === line.toString().trim());
      const taken = node === undefined ? Promise.resolve('unknown') : takePower(node);
      void taken.catch((error: unknown) => String(error)).then((said) => connection.end(`${said}\n`));
    });
  });
  return server.listen(fencerPort, frontendAddress);
}

/** Takes the power of nodes on the word of FENCE_CMD. */
export class Fencer {
  /** In order. */
  readonly fenced: Fencing[] = [];
  private readonly server = serveFences((node) => this.takePower(node));

  close(): void {
    this.server.close();
  }

  private async takePower(node: NodeName): Promise<string> {
    await lab.kill(node);
    this.fenced.push({ node, offMs: performance.now() });
    return 'off';
  }
}
