/**
 * Three real cxmd on one machine: joining, leaving, strangers. Wall-clock times are generous, since other things run beside
 * it.
 */
import { createSocket } from 'node:dgram';
import * as fs from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeNames, type ClusterRig, type NodeName } from './cluster-rig.ts';
import { clustersFrom, cluster, joined, pause, running, settled } from './three-daemons.ts';

const vm = 'web.example.org';
clustersFrom(1);

describe('three cxmd', () => {
  test('join, agree on one master, and answer to cxmd_ctl', { timeout: 90_000 }, async () => {
    const current = await cluster();
    expect(await current.ctl('node1', '--ping')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("Can't contact cxmd. Is daemon running ?") as string,
    });
    const master = await joined(current);
    expect((await current.ctl('node2', '--ping')).stdout).toBe('OK\n');
    await expect
      .poll(async () => (await current.nodes('node1')).map(({ net, disk }) => `${net} ${disk}`), { timeout: 20_000 })
      .toEqual(['ok ok', 'ok ok', 'ok ok']);
    const nodes = await current.nodes('node1');
    expect(nodes.find(({ isMaster }) => isMaster)?.name).toBe(master);
    expect((await current.why(master, master)).map(({ decision }) => decision)).toContain('master, epoch 1');
    const { stdout } = await current.ctl('node3', '--dump');
    expect(JSON.parse(stdout)).toMatchObject({ rejections: [], state: { role: expect.any(String) as string } });
    // A second daemon of a node finds the port taken, and ends.
    const log = current.log('node1');
    const before = fs.readFileSync(join(current.directory, 'node1.pid'), 'utf8');
    current.start('node1');
    expect(await current.ended('node1')).toBe(1);
    expect(current.log('node1').slice(log.length)).toMatch(/TCP port \d+ of 127.* can't be had/);
    process.kill(Number(before), 'SIGKILL');
  });

  test('a clean leave and a restart start no failover', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    const leaver = master === 'node2' ? 'node1' : 'node2';
    await running(current, vm, leaver);
    expect(await current.ctl(leaver, '--quit')).toMatchObject({ exitCode: 0, stdout: 'left\n' });
    expect(await current.ended(leaver)).toBe(0);
    // The master goes, too: by a signal, as systemd does it.
    current.signal(master, 'SIGTERM');
    expect(await current.ended(master)).toBe(0);
    const rest = nodeNames.filter((node) => node !== leaver && node !== master);
    expect(await settled(current, rest)).toBe(rest[0]);
    await joined(current, [leaver, master]);
    await settled(current, nodeNames);
    // Longer than a node may be silent.
    await pause(4 * current.timerMs);
    expect(current.fenced()).toEqual([]);
    expect(current.sandbox.nodesWith(vm)).toEqual([leaver]);
    // What was decided before the restart is known yet.
    expect((await current.why(master, master)).map(({ decision }) => decision)).toContain('left');
  });
});

describe('strangers', () => {
  test('with another key are not let in, counted, and change nothing', { timeout: 120_000 }, async () => {
    const current = await cluster();
    current.writeKey('other-key', 2);
    current.configure('node3', { CLUSTER_KEY: `"${join(current.directory, 'other-key')}"` });
    const master = await joined(current, ['node1', 'node2']);
    const before = await current.status(master);
    current.start('node3');
    await pause(12_000);
    expect((await current.status('node3'))?.isMember).toBe(false);
    expect(await current.status(master)).toEqual(before);
    expect(current.log(master)).toMatch(/CXM080 heartbeat: key: 1 since this was told last, the latest from 127/);
    const { rejections } = JSON.parse((await current.ctl(master, '--dump')).stdout) as {
      rejections: { kind: string; count: number }[];
    };
    const counted = rejections.find(({ kind }) => kind === 'heartbeat: key')?.count ?? 0;
    expect(counted).toBeGreaterThan(5);
    expect(current.log(master).match(/CXM080/g)?.length).toBeLessThan(5);
  });

  test('who repeat what was recorded do not keep a dead node alive', { timeout: 120_000 }, async () => {
    const current = await cluster();
    // The place of node3 is taken by somebody who listens: what the others send to it is authentic.
    const recorded: Buffer[] = [];
    const ear = createSocket('udp4');
    ear.on('message', (bytes, { address }) => {
      if (address === current.address('node2')) recorded.push(bytes);
    });
    ear.bind(current.udpPort, current.address('node3'));
    await joined(current, ['node1']);
    await joined(current, ['node2']);
    await expect.poll(() => recorded.length, { timeout: 20_000 }).toBeGreaterThan(5);
    current.signal('node2', 'SIGKILL');
    await current.ended('node2');
    const repeating = setInterval(() => {
      for (const bytes of recorded) ear.send(bytes, current.udpPort, current.address('node1'));
    }, 200);
    try {
      await expect.poll(() => current.fenced(), { timeout: 60_000 }).toEqual(['fence node2']);
      await pause(3000);
      expect((await current.status('node1'))?.state).toBe('normal');
    } finally {
      clearInterval(repeating);
      ear.close();
    }
  });

  test('who send anything to any port stop nothing and change nothing', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current, ['node1', 'node2']);
    const before = await current.status('node1');
    const memory = residentKib(current, 'node1');
    await assail(current, 'node1', 8000);
    expect(await current.status('node1')).toEqual(before);
    expect(await settled(current, ['node1', 'node2'])).toBe(master);
    expect(current.fenced()).toEqual([]);
    // A flood of datagrams leaves garbage behind, but nothing that grows with it.
    expect(residentKib(current, 'node1')).toBeLessThan(memory + 60 * 1024);
    expect(current.log('node1').split('\n').length).toBeLessThan(40);
  });
});

test('SIGHUP takes what can be changed, and names the rest', { timeout: 60_000 }, async () => {
  const current = await cluster();
  await joined(current, ['node1']);
  current.configure('node1', { TIMER: '5', NO_RESTART: "['db.example.org']", ALLOWED_NODES: "['node2', 'node1']" });
  current.signal('node1', 'SIGHUP');
  await expect.poll(() => current.log('node1')).toMatch(/CXM003/);
  expect(current.log('node1')).toMatch(/CXM004 TIMER has changed/);
  expect(current.log('node1')).toMatch(/CXM004 ALLOWED_NODES has not only got longer/);
  current.configure('node1', { ALLOWED_NODES: "['node2']" });
  current.signal('node1', 'SIGHUP');
  await expect.poll(() => current.log('node1')).toMatch(/CXM004 nothing was changed: ALLOWED_NODES does not name this/);
  fs.appendFileSync(join(current.directory, 'node1.conf'), 'NONSENSE = 1\n');
  current.signal('node1', 'SIGHUP');
  await expect.poll(() => current.log('node1')).toMatch(/CXM004 nothing was changed: .*there is no key NONSENSE/);
  current.configure('node1');
  expect((await current.status('node1'))?.role).toBe('active');
});

function residentKib(current: ClusterRig, node: NodeName): number {
  const pid = fs.readFileSync(join(current.directory, `${node}.pid`), 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Random, truncated, oversized and recorded datagrams, and connections with garbage. */
async function assail(current: ClusterRig, node: NodeName, durationMs: number): Promise<void> {
  const [host, port] = [current.address(node), current.udpPort];
  const socket = createSocket('udp4');
  const end = performance.now() + durationMs;
  while (performance.now() < end) {
    for (const size of [0, 1, 15, 48, 381, 1024, 1025, 20_000, 65_000]) {
      const bytes = Buffer.alloc(size, Math.floor(Math.random() * 256));
      if (size > 8 && Math.random() < 0.5) bytes.write('cxmD\x01', 'latin1');
      socket.send(bytes, port, host, () => undefined);
    }
    const stranger = connect({ host, port: current.tcpPort });
    stranger.on('error', () => undefined);
    stranger.write(Buffer.alloc(Math.floor(Math.random() * 100_000), Math.floor(Math.random() * 256)));
    setTimeout(() => stranger.destroy(), 500);
    const local = connect(join(current.directory, `${node}.socket`));
    local.on('error', () => undefined);
    local.write(`{"jsonrpc":"2.0","id":1,"method":"call","params":{"call":{"kind":"${'x'.repeat(50_000)}"}}}\n`);
    setTimeout(() => local.destroy(), 500);
    await pause(20);
  }
  socket.close();
  await pause(1000);
}
