/**
 * Three real cxmd on one machine: joining, failure of a node, leaving, strangers. Wall-clock times are generous, since other
 * things run beside it; how long a recovery takes is measured in the benchmarks.
 */
import { createSocket } from 'node:dgram';
import * as fs from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ClusterRig, nodeNames, type NodeName, type RigOptions } from './cluster-rig.ts';

const vm = 'web.example.org';
let rig: ClusterRig | undefined;
let rigs = 0;

async function cluster(options: Partial<RigOptions> = {}): Promise<ClusterRig> {
  rig = new ClusterRig({ number: (rigs += 1), ...options });
  expect((await rig.format()).exitCode).toBe(0);
  return rig;
}

/** All of them, with one master. */
async function joined(current: ClusterRig, nodes: readonly NodeName[] = nodeNames): Promise<NodeName> {
  current.start(...nodes);
  return settled(current, nodes);
}

async function settled(current: ClusterRig, nodes: readonly NodeName[]): Promise<NodeName> {
  let master: string | undefined;
  await expect
    .poll(
      async () => {
        const all = await Promise.all(nodes.map((node) => current.status(node)));
        const masters = new Set(all.map((status) => status?.master));
        master = all[0]?.master;
        return all.every((status) => status?.isMember === true) && masters.size === 1 && master !== undefined;
      },
      { timeout: 45_000, interval: 300 },
    )
    .toBe(true);
  return master as NodeName;
}

/** Starts the VM under the simulated xl and waits until the others know it from the slot. */
async function running(current: ClusterRig, name: string, node: NodeName): Promise<void> {
  current.sandbox.addVm(name);
  const { exitCode, stderr } = await current.sandbox.cxm(['create', name, '-f', node, '--quiet'], { at: node });
  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
  await expect
    .poll(async () => (await current.nodes(node)).find((one) => one.name === node)?.vms, { timeout: 15_000 })
    .toContain(name);
  // One more heartbeat, so that it stands in the slot that the others have read.
  await pause(2500);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

afterEach(async (context) => {
  if (context.task.result?.state === 'fail' && rig !== undefined) {
    for (const node of nodeNames) process.stderr.write(`--- ${node}\n${rig.log(node)}\n`);
  }
  await rig?.close();
  rig = undefined;
});

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

  test(
    'a node whose daemon dies is fenced, and its VM started elsewhere exactly once',
    { timeout: 120_000 },
    async () => {
      const current = await cluster();
      const master = await joined(current);
      const victim = master === 'node2' ? 'node1' : 'node2';
      await running(current, vm, victim);
      current.signal(victim, 'SIGKILL');
      await expect
        .poll(() => current.sandbox.nodesWith(vm).filter((node) => node !== victim), { timeout: 60_000 })
        .toHaveLength(1);
      await expect.poll(async () => (await current.status(master))?.state, { timeout: 20_000 }).toBe('normal');
      expect(current.fenced()).toEqual([`fence ${victim}`]);
      expect(current.startsOf(vm)).toBe(1);
      const decisions = (await current.why(master, victim)).map(({ decision }) => decision);
      expect(decisions).toEqual(expect.arrayContaining(['presumed dead', 'fence', 'off', 'recovered']));
      expect((await current.why(master, vm)).map(({ decision }) => decision)).toContain(
        `ordered to start on ${current.sandbox.nodesWith(vm).find((node) => node !== victim) ?? ''}`,
      );
      // cxm works without the node that is off for certain.
      expect(await current.cxm(master, 'list', '--quiet')).toMatchObject({
        exitCode: 0,
        stdout: `${vm}\n`,
        stderr: '',
      });
      // It comes back with a new incarnation, and finds its VM elsewhere.
      current.sandbox.setDown(victim, false);
      await joined(current, [victim]);
      expect(await settled(current, nodeNames)).toBe(master);
      expect(current.fenced()).toHaveLength(1);
    },
  );

  test('when the master itself dies, another one does it', { timeout: 150_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    // node3 has other storage: nobody could take over its VM.
    const survivors = nodeNames.filter((node) => node !== master);
    if (master !== 'node3') await running(current, vm, master);
    current.signal(master, 'SIGKILL');
    await expect.poll(() => current.fenced(), { timeout: 60_000 }).toEqual([`fence ${master}`]);
    const next = await settled(current, survivors);
    expect(survivors).toContain(next);
    if (master !== 'node3') {
      await expect
        .poll(() => current.sandbox.nodesWith(vm).filter((node) => node !== master), { timeout: 60_000 })
        .toHaveLength(1);
      expect(current.startsOf(vm)).toBe(1);
    }
  });

  test('a VM that answers keeps its node from being fenced', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    const victim = master === 'node2' ? 'node1' : 'node2';
    await running(current, vm, victim);
    current.setAnswering(vm, true);
    current.signal(victim, 'SIGKILL');
    await expect.poll(() => current.log(master), { timeout: 60_000 }).toMatch(/CXM070 .*one of its VMs answers/);
    await pause(3000);
    expect(current.fenced()).toEqual([]);
    expect(current.sandbox.nodesWith(vm)).toEqual([victim]);
  });

  test('a fence command that fails is panic, and nothing is started', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    const victim = master === 'node2' ? 'node1' : 'node2';
    await running(current, vm, victim);
    fs.writeFileSync(join(current.directory, 'fence-fails'), '');
    current.signal(victim, 'SIGKILL');
    await expect.poll(async () => (await current.status(master))?.state, { timeout: 60_000 }).toBe('panic');
    expect(current.log(master)).toMatch(/CXM070 panic: fencing .* failed: .*no answer from the switch/);
    await pause(3000);
    expect(current.startsOf(vm)).toBe(0);
    expect((await current.cxm(master, 'config', 'check')).stderr).toBe('');
    expect((await current.cxm(master, 'search', vm)).stderr).toMatch(/THE CLUSTER IS IN PANIC/);
    const recovered = await current.ctl(master, '--recover', '--yes');
    expect(recovered).toMatchObject({ exitCode: 0, stdout: 'normal\n' });
  });

  test('cxm fence starts no failover, and frees the VMs of the node', { timeout: 120_000 }, async () => {
    const current = await cluster();
    const master = await joined(current);
    const victim = master === 'node2' ? 'node1' : 'node2';
    await running(current, vm, victim);
    const bystander = nodeNames.find((node) => node !== master && node !== victim) ?? 'node3';
    expect(await current.cxm(bystander, 'fence', victim, '--yes')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining(`ask the master, ${master}`) as string,
    });
    expect(await current.cxm(master, 'fence', victim, '--yes')).toMatchObject({ exitCode: 0 });
    expect(current.fenced()).toEqual([`fence ${victim}`]);
    await pause(5 * current.timerMs);
    expect(current.fenced()).toEqual([`fence ${victim}`]);
    expect(current.startsOf(vm)).toBe(0);
    expect((await current.nodes(master)).find(({ name }) => name === victim)?.role).toBe('off');
    // By hand it may be started now, where the cluster has its disk.
    const place = master === 'node3' ? bystander : master;
    expect(await current.cxm(place, 'create', vm, '-f', place)).toMatchObject({ exitCode: 0 });
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
  current.configure('node1', { TIMER: '5', NO_RESTART: "['db.example.org']", ALLOWED_NODES: "['node2']" });
  current.signal('node1', 'SIGHUP');
  await expect.poll(() => current.log('node1')).toMatch(/CXM003/);
  expect(current.log('node1')).toMatch(/CXM004 TIMER has changed/);
  expect(current.log('node1')).toMatch(/CXM004 ALLOWED_NODES has not only got longer/);
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
