import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClusterWatch, type ReadNode } from '../../src/cluster/metrics-watch.ts';
import type { NodeReading } from '../../src/cluster/metrics-read.ts';
import { frameOf, lastSkip, type TopScreen } from '../../src/cli/top-frame.ts';
import { intervals, pressKey, type Key } from '../../src/cli/top-keys.ts';
import { bytes, nodeLines, vmLines } from '../../src/cli/top-table.ts';
import { runBatch, runScreen, type LiveTerminal, type TopWorld } from '../../src/cli/top.ts';
import { viewOf, type TopView } from '../../src/cli/top-view.ts';
import { styleOf } from '../../src/cli/style.ts';
import { CxmError } from '../../src/errors.ts';
import { nodeReading, row, usage } from '../cluster/metrics-samples.ts';

const plain = styleOf({ write: () => true }, {});
const coloured = styleOf({ isTTY: true, write: () => true }, { TERM: 'xterm' });
const screen: TopScreen = { sort: 'cpu', node: undefined, intervalSeconds: 3, skipped: 0, help: false };
const size = { columns: 80, rows: 24 };
const visible = (line: string): string => line.replaceAll(/\x1b\[\d+m/g, '');

/** A clock that stands still but for sleeps; readings come from a script. */
class Ground {
  nowMs = 0;
  readonly hung = new Set<string>();
  readonly broken = new Set<string>();
  calls = 0;
  readonly clock = {
    now: () => this.nowMs,
    sleep: async (milliseconds: number) => {
      await new Promise((resolve) => setImmediate(resolve));
      this.nowMs += milliseconds;
    },
  };

  readonly read: ReadNode = ({ name }) => {
    this.calls += 1;
    if (this.hung.has(name)) return new Promise(() => undefined);
    if (this.broken.has(name)) return Promise.reject(new CxmError('HOST_UNREACHABLE', 'No route to host'));
    return Promise.resolve(this.reading(name));
  };

  private reading(name: string): NodeReading {
    const seconds = this.nowMs / 1000;
    const vms = ['one', 'two'].map((vm, index) =>
      row(index + 1, `${vm}.${name}`, { cpuSeconds: seconds * (index + 1) * 0.25, memoryMib: 512 - index }),
    );
    const counters = vms.map((vm, index) =>
      usage(vm.name ?? '', { diskReadSectors: Math.round(seconds * 2048 * (2 - index)) }),
    );
    return nodeReading(name, { uptimeSeconds: 100 + seconds, rows: [row(0, 'Domain-0'), ...vms], usage: counters });
  }

  watch(...nodes: readonly string[]): ClusterWatch {
    const programs = { run: () => Promise.reject(new Error('not used')) };
    const asked = { usage: true, physicalVolumes: true };
    return new ClusterWatch(
      nodes.map((name) => ({ name, programs })),
      asked,
      this.clock,
      this.read,
    );
  }

  world(signal: AbortSignal, ...nodes: readonly string[]): TopWorld {
    const today = (): Date => new Date(2026, 0, 1, 12, 0, this.nowMs / 1000);
    return { watch: this.watch(...nodes), nodes, clock: this.clock, today, signal, style: plain };
  }
}

async function viewAfter(ground: Ground, seconds: number, ...nodes: readonly string[]): Promise<TopView> {
  const watch = ground.watch(...nodes);
  await watch.poll();
  ground.nowMs += seconds * 1000;
  await watch.poll();
  return viewOf(watch.look(5000), screen);
}

describe('the watch', () => {
  it('never asks a node twice at a time, calls one that hangs silent, and goes on with the others', async () => {
    const ground = new Ground();
    ground.hung.add('node2');
    const watch = ground.watch('node1', 'node2');
    void watch.poll();
    for (let second = 0; second < 7; second += 1) {
      await ground.clock.sleep(1000);
      void watch.poll();
    }
    await ground.clock.sleep(0);
    const [one, two] = watch.look(5000);
    expect(one?.rates?.elapsedSeconds).toBe(1);
    expect(one?.silence).toBeUndefined();
    expect(two?.silence?.error.message).toBe('no answer for 7 s');
    expect(watch.look(8000)[1]?.silence).toBeUndefined();
    expect(ground.calls).toBe(8 + 1);
  });

  it('has a node back as soon as it answers again, and says when it was heard of last', async () => {
    const ground = new Ground();
    const watch = ground.watch('node1');
    await watch.poll();
    ground.broken.add('node1');
    ground.nowMs += 4000;
    await watch.poll();
    expect(watch.look(5000)[0]?.silence).toMatchObject({ lastAnswerMs: 4000, error: { message: 'No route to host' } });
    ground.broken.clear();
    ground.nowMs += 4000;
    await watch.poll();
    expect(watch.look(5000)[0]).toMatchObject({ silence: undefined, rates: { elapsedSeconds: 8 } });
  });

  it('counts CPU time over ten seconds, all else since the last reading, and forgets what is older', async () => {
    const ground = new Ground();
    const ages: number[] = [];
    const watch = ground.watch('node1');
    for (let round = 0; round < 30; round += 1) {
      await watch.poll();
      const { rates } = watch.look(5000)[0] ?? {};
      if (rates !== undefined) ages.push(rates.elapsedSeconds);
      expect(rates?.vms[0]?.cpuPercent ?? 25).toBeCloseTo(25);
      ground.nowMs += 3000;
    }
    expect(new Set(ages)).toEqual(new Set([3]));
  });
});

describe('CPU time', () => {
  it('counts from the newest reading that is ten seconds old', async () => {
    const ground = new Ground();
    const programs = { run: () => Promise.reject(new Error('not used')) };
    let cpuSeconds = 0;
    const read: ReadNode = () =>
      Promise.resolve(
        nodeReading('node1', { uptimeSeconds: ground.nowMs / 1000, rows: [row(1, 'one', { cpuSeconds })] }),
      );
    const watch = new ClusterWatch(
      [{ name: 'node1', programs }],
      { usage: false, physicalVolumes: false },
      ground.clock,
      read,
    );
    for (; ground.nowMs <= 30_000; ground.nowMs += 3000) await watch.poll();
    cpuSeconds = 3;
    await watch.poll();
    expect(watch.look(5000)[0]?.rates).toMatchObject({ elapsedSeconds: 3, vms: [{ cpuPercent: 25 }] });
  });
});

describe('the view', () => {
  it('is sorted as asked, equals by name', async () => {
    const ground = new Ground();
    const watch = ground.watch('node1', 'node2');
    await watch.poll();
    ground.nowMs += 2000;
    await watch.poll();
    const names = (sort: TopScreen['sort'], node?: string): readonly string[] =>
      viewOf(watch.look(5000), { sort, node }).vms.map(({ name }) => name);
    expect(names('cpu')).toEqual(['two.node1', 'two.node2', 'one.node1', 'one.node2']);
    expect(names('disk')).toEqual(['one.node1', 'one.node2', 'two.node1', 'two.node2']);
    expect(names('memory')).toEqual(['one.node1', 'one.node2', 'two.node1', 'two.node2']);
    expect(names('name')).toEqual(['one.node1', 'one.node2', 'two.node1', 'two.node2']);
    expect(names('cpu', 'node2')).toEqual(['two.node2', 'one.node2']);
  });

  it('leaves out the VMs of a silent node, and the node from the totals', async () => {
    const ground = new Ground();
    ground.broken.add('node2');
    const view = await viewAfter(ground, 2, 'node1', 'node2');
    const watch = ground.watch('node1');
    for (const broken of [false, false, true]) {
      if (broken) ground.broken.add('node1');
      ground.nowMs += 1000;
      await watch.poll();
      expect(viewOf(watch.look(5000), screen).vms).toHaveLength(broken ? 0 : 2);
    }
    expect(view.totals).toMatchObject({ answering: 1, runningVms: 2 });
    expect(view.vms.every(({ node }) => node === 'node1')).toBe(true);
    expect(view.nodes[1]).toMatchObject({ figures: undefined, silence: 'No route to host' });
    expect(nodeLines(view, 80, plain).at(2)).toBe('node2  SILENT: No route to host');
  });
});

describe('a frame', () => {
  it('fits in 80 × 24 with nodes, VMs and rates', async () => {
    const view = await viewAfter(new Ground(), 2, 'node1', 'node2');
    const lines = frameOf(view, screen, size, '12:00:00', plain);
    expect(lines).toHaveLength(24);
    expect(lines.slice(0, 8)).toEqual([
      'cxm top  12:00:00  2 of 2 nodes, 4 VMs, load 100%  every 3 s',
      'NODE      CPU%  CPUS  USED  MEMORY  LOAD  VMS  NET-IN  NET-OUT  READ  WRITE',
      'node1     75.0     4  4.0G    8.0G   50%    2       0        0  3.0M      0',
      'node2     75.0     4  4.0G    8.0G   50%    2       0        0  3.0M      0',
      '',
      'VM         NODE   STATE  CPU%  VCPUS  MEMORY  NET-IN  NET-OUT  READ  WRITE',
      'two.node1  node1  runs   50.0      2    511M       0        0  1.0M      0',
      'two.node2  node2  runs   50.0      2    511M       0        0  1.0M      0',
    ]);
  });

  it('never has more lines or wider ones than the terminal, whatever is on it', async () => {
    const ground = new Ground();
    ground.broken.add('node3');
    const nodes = ['node1', 'node2', 'node3', 'a-node-with-a-very-long-name.example.org'];
    const view = await viewAfter(ground, 2, ...nodes);
    const odd: TopView = {
      ...view,
      vms: [...view.vms, ...view.vms.map((vm) => ({ ...vm, name: `\x1b[2J\n${'x'.repeat(90)}` }))],
    };
    const sizes = fc.record({ columns: fc.integer({ min: 20, max: 200 }), rows: fc.integer({ min: 3, max: 60 }) });
    fc.assert(
      fc.property(sizes, fc.boolean(), fc.nat(20), (some, help, skipped) => {
        const lines = frameOf(
          odd,
          { ...screen, help, skipped: Math.min(skipped, lastSkip(odd, some)) },
          some,
          '12:00:00',
          coloured,
        ).map(visible);
        expect(lines.length).toBeLessThanOrEqual(some.rows);
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(some.columns);
        expect(lines.join('')).not.toMatch(/[\x00-\x1f]/);
      }),
    );
  });

  it('shows every VM at some point of scrolling', async () => {
    const view = await viewAfter(new Ground(), 2, ...Array.from({ length: 12 }, (_, index) => `node${index}`));
    const seen = new Set<string>();
    for (let skipped = 0; skipped <= lastSkip(view, size); skipped += 1) {
      for (const line of frameOf(view, { ...screen, skipped }, size, '12:00:00', plain))
        seen.add(line.split(' ')[0] ?? '');
    }
    expect(view.vms.filter(({ name }) => !seen.has(name))).toEqual([]);
  });

  it('says what it does not know', () => {
    const [, line] = vmLines(
      viewOf(
        [
          {
            node: 'node1',
            reading: nodeReading('node1', { rows: [row(1, 'one')] }),
            rates: undefined,
            silence: undefined,
          },
        ],
        screen,
      ).vms,
      80,
      plain,
    );
    expect(line).toMatch(/^one +node1 +runs +- +2 +256M( +-){4,5}$/);
  });

  it('writes bytes in five characters', () => {
    expect([0, 999, 1000, 1024, 10_188, 1024 ** 2, 999.6 * 1024, 5e18].map(bytes)).toEqual([
      '0',
      '999',
      '1.0K',
      '1.0K',
      '9.9K',
      '1.0M',
      '1.0M',
      '4.3E',
    ]);
    fc.assert(fc.property(fc.double({ min: 0, max: 1e20, noNaN: true }), (value) => bytes(value).length <= 5));
  });
});

describe('keys', () => {
  const around = { nodes: ['node1', 'node2'], page: 10, lastSkip: 4 };
  const press = (sequence: string, key: Partial<Key> = {}, from = screen) =>
    pressKey(from, { name: sequence, sequence, ctrl: false, ...key }, around);
  const after = (sequence: string, from = screen, key: Partial<Key> = {}): TopScreen => {
    const effect = press(sequence, key, from);
    return effect.kind === 'screen' ? effect.screen : from;
  };

  it('leave, sort, choose a node, scroll, change the interval and help', () => {
    expect(press('q').kind).toBe('quit');
    expect(press('\x03', { name: 'c', ctrl: true }).kind).toBe('quit');
    expect(press('\x1a', { name: 'z', ctrl: true }).kind).toBe('suspend');
    expect(press(' ').kind).toBe('refresh');
    expect(press('x').kind).toBe('none');
    expect(press('toString').kind).toBe('none');
    expect(after('d').sort).toBe('disk');
    expect(after('a').sort).toBe('name');
    const walk = ['f', 'f', 'f'].reduce<TopScreen[]>((all, key) => [...all, after(key, all.at(-1) ?? screen)], []);
    expect(walk.map(({ node }) => node)).toEqual(['node1', 'node2', undefined]);
    expect(after('', { ...screen, skipped: 4 }, { name: 'down' }).skipped).toBe(4);
    expect(after('', { ...screen, skipped: 4 }, { name: 'pageup' }).skipped).toBe(0);
    expect(after('+').intervalSeconds).toBe(5);
    expect(after('-').intervalSeconds).toBe(2);
    expect(intervals.reduce((from) => after('-', from), screen).intervalSeconds).toBe(1);
    const help = after('h');
    expect(help.help).toBe(true);
    expect(after('d', help)).toEqual({ ...screen, help: false });
    expect(press('q', {}, help).kind).toBe('quit');
  });
});

describe('the run', () => {
  it('of tables prints as many as asked, the first with rates, and waits for no silent node', async () => {
    const ground = new Ground();
    ground.hung.add('node2');
    const texts: string[] = [];
    const options = {
      intervalSeconds: 3,
      sort: 'cpu',
      node: undefined,
      iterations: 3,
      json: false,
      columns: 100,
    } as const;
    const world = ground.world(new AbortController().signal, 'node1', 'node2');
    expect(await runBatch(world, options, (text) => texts.push(text))).toBe(false);
    expect(texts).toHaveLength(3);
    expect(texts[0]).toContain('SILENT: no answer for');
    expect(texts[0]).toMatch(/two\.node1 +node1 +runs +50\.0/);
  });

  it('of JSON prints one line each, with devices and errors', async () => {
    const ground = new Ground();
    ground.broken.add('node2');
    const lines: string[] = [];
    const options = {
      intervalSeconds: 3,
      sort: 'cpu',
      node: undefined,
      iterations: 2,
      json: true,
      columns: 100,
    } as const;
    await runBatch(ground.world(new AbortController().signal, 'node1', 'node2'), options, (text) => lines.push(text));
    expect(lines.every((line) => line.indexOf('\n') === line.length - 1)).toBe(true);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({
      nodes: [
        { node: 'node1', elapsedSeconds: expect.any(Number) as number, cpuPercent: 75, groups: [] },
        { node: 'node2', error: { code: 'HOST_UNREACHABLE', message: 'No route to host' } },
      ],
      vms: [{ name: 'two.node1', cpuPercent: 50 }, { name: 'one.node1' }],
      totals: { answering: 1, runningVms: 2 },
    });
  });

  it.each([['q'], ['abort']])('of the screen ends by %s, and gives the terminal back', async (how) => {
    const ground = new Ground();
    const controller = new AbortController();
    let closed = 0;
    let frames = 0;
    let press: (key: Key) => void = () => undefined;
    const terminal: LiveTerminal = {
      size,
      draw: () => {
        frames += 1;
        if (frames === 4 && how === 'q') press({ name: 'q', sequence: 'q', ctrl: false });
        if (frames === 4 && how === 'abort') controller.abort();
      },
      listen: (onKey) => (press = onKey),
      suspend: () => undefined,
      close: () => (closed += 1),
    };
    await runScreen(
      ground.world(controller.signal, 'node1'),
      { intervalSeconds: 3, sort: 'cpu', node: undefined },
      terminal,
    );
    expect(frames).toBe(4);
    expect(closed).toBeGreaterThan(0);
  });
});
