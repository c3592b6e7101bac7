/** `cxm guard release` as cxm-host talks to it, on nodes whose volumes are moved by hand: what it answers, and when. */
import { describe, expect, test } from 'vitest';
import { runGuard } from '../../src/cli/guard.ts';
import type { CliEnvironment } from '../../src/cli/environment.ts';
import type { Cluster } from '../../src/cluster/cluster.ts';
import type { ClusterNode } from '../../src/cluster/node.ts';
import { nameFault } from '../../src/xen/domain-name.ts';
import type { GroupedVolume } from '../../src/lvm/report.ts';
import { sight, volume } from '../cluster/sights.ts';

class Nodes {
  readonly volumes = new Map<string, GroupedVolume>();
  readonly locks: string[] = [];
  silent = '';

  constructor(...names: readonly string[]) {
    for (const name of names) this.volumes.set(name, volume('a'));
  }

  set(node: string, change: Partial<GroupedVolume>): void {
    this.volumes.set(node, { ...this.get(node), ...change });
  }

  get(node: string): GroupedVolume {
    return this.volumes.get(node) ?? volume('a');
  }

  private node(name: string): ClusterNode {
    const { info, rows, links, bridges, cpuFlags, groups } = sight(name);
    const node = {
      name,
      toolstack: { info: () => Promise.resolve(info), list: () => Promise.resolve(rows) },
      files: { links: () => Promise.resolve(links) },
      system: { bridges: () => Promise.resolve(bridges), cpuFlags: () => Promise.resolve(cpuFlags) },
      inventory: () =>
        this.silent === name
          ? Promise.reject(new Error('no route to host'))
          : Promise.resolve({ groups, volumes: this.volumes.has(name) ? [this.get(name)] : [] }),
      volumes: () => ({ deactivate: () => Promise.resolve(this.set(name, { active: false })) }),
      lock: (vm: string) => {
        this.locks.push(vm);
        return Promise.resolve({ held: true, release: () => Promise.resolve() });
      },
      under: () => node,
    };
    return node as unknown as ClusterNode;
  }

  /** @param work what cxm-host does once the volume is its own; false if it gives up */
  async release(work: () => boolean, name = 'san/a'): Promise<string[]> {
    const written: string[] = [];
    const cluster = {
      nodes: [...this.volumes.keys()].map((node) => this.node(node)),
      settings: { lockTimeoutMs: 1000, busyTimeoutMs: 1000 },
      reporter: { step: () => undefined, note: () => undefined },
      clock: { now: () => 0, sleep: () => new Promise(() => undefined) },
      signal: new AbortController().signal,
    } as unknown as Cluster;
    const environment = {
      localName: 'node1',
      terminal: { stdout: { write: (text: string) => written.push(text) }, stderr: { write: () => true } },
      open: () => Promise.resolve({ cluster, close: () => Promise.resolve() }),
    } as unknown as CliEnvironment;
    const input = async function* (): AsyncGenerator<string> {
      await Promise.resolve();
      if (work()) yield 'done\n';
    };
    await runGuard(['release', '--', name], environment, input());
    return written.map((line) => line.trim());
  }
}

const inUse = (why: string): unknown => expect.stringMatching(new RegExp(`"IN_USE".*san/a (${why})`)) as unknown;

describe('a volume that is to be activated on this node alone', () => {
  test('is inactive on the others when it is held, and kept when it is active here only', async () => {
    const nodes = new Nodes('node1', 'node2');
    nodes.set('node2', { active: true });
    const said = await nodes.release(() => {
      expect(nodes.get('node2').active).toBe(false);
      nodes.set('node1', { active: true });
      return true;
    });
    expect(said).toEqual(['held', 'kept']);
  });

  test('is not held while another node has it open', async () => {
    const nodes = new Nodes('node1', 'node2');
    nodes.set('node2', { active: true, open: true });
    expect(await nodes.release(() => true)).toEqual([inUse('is in use on node2')]);
  });

  test.each([
    [
      'a start there has activated it on another node',
      { node: 'node2', active: true },
      'was activated on node2 meanwhile',
    ],
    [
      'a start elsewhere has deactivated it here',
      { node: 'node1', active: false },
      'was deactivated on node1 meanwhile',
    ],
  ])('is not kept when %s at the same time', async (_what, { node, active }, why) => {
    const nodes = new Nodes('node1', 'node2');
    const said = await nodes.release(() => {
      nodes.set('node1', { active: true });
      nodes.set(node, { active });
      return true;
    });
    expect(said).toEqual(['held', inUse(why)]);
  });

  test('is not kept when another node can not say any more whether it has it', async () => {
    const nodes = new Nodes('node1', 'node2');
    const said = await nodes.release(() => {
      nodes.set('node1', { active: true });
      nodes.silent = 'node2';
      return true;
    });
    expect(said).toEqual(['held', expect.stringContaining('HOST_UNREACHABLE') as unknown]);
  });

  test('may be of the name of another one', async () => {
    const nodes = new Nodes('node1', 'node2');
    nodes.set('node2', { active: true, uuid: 'another' });
    const said = await nodes.release(() => {
      nodes.set('node1', { active: true });
      return true;
    });
    expect(said).toEqual(['held', 'kept']);
    expect(nodes.get('node2').active).toBe(true);
  });

  test('is not looked for once it was removed here', async () => {
    const nodes = new Nodes('node1', 'node2');
    const said = await nodes.release(() => {
      nodes.volumes.delete('node1');
      nodes.silent = 'node2';
      return true;
    });
    expect(said).toEqual(['held', 'kept']);
  });

  test.each([
    'san/a',
    `${'v'.repeat(45)}/lv-one-7-0`,
    `${'v'.repeat(120)}/${'l'.repeat(120)}`,
    `v${'-'.repeat(60)}x/_-_`,
    '_a/+.-',
  ])('has a lock of its own: %s', async (name) => {
    const nodes = new Nodes('node1');
    await nodes.release(() => true, name);
    expect(nodes.locks).toHaveLength(1);
    expect(nodes.locks.map(nameFault)).toEqual([undefined]);
    await nodes.release(() => true, `${name}x`);
    expect(new Set(nodes.locks).size).toBe(2);
  });
});
