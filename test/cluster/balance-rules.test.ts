/** Rules of cxm.conf, together with what the cluster itself allows. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planBalance } from '../../src/balance/plan.ts';
import { planPlacement } from '../../src/balance/place.ts';
import type { ClusterState } from '../../src/balance/state.ts';
import { costOf, rulesAbout, rulesOf, vmsNamedBy, withHomes, withNamedNodes } from '../../src/cluster/balance-rules.ts';
import { cxmConfTable, type CxmConf } from '../../src/config/cxm-conf.ts';
import { parseSettingsOf, resolveOf } from '../../src/config/load.ts';
import { asCxmError } from '../../src/errors.ts';

const nodes = ['node1', 'node2', 'node3'];

function read(text: string): CxmConf {
  const all = `ALLOWED_NODES = ['node1', 'node2', 'node3']\n${text}`;
  return resolveOf(cxmConfTable, parseSettingsOf(cxmConfTable, all, 'cxm.conf'));
}

function state(vms: Readonly<Record<string, string | undefined>>, present = nodes): ClusterState {
  return {
    nodes: present.map((name) => ({ name, memoryMib: 4096, cpus: 4, ready: true, accepting: true })),
    vms: Object.entries(vms).map(([name, node]) => ({ name, node, memoryMib: 1024, cpuPercent: 10 })),
  };
}

describe('rules of cxm.conf', () => {
  it('are those of the balancer, whatever blanks are between the words', () => {
    const conf = read(
      `LB_PIN = ['shop node1  node2', ' mail node3 ']
LB_IGNORE = ['router']
LB_TOGETHER = ['web db']
LB_APART = ['ns1 ns2 ns3', 'web mail']
LB_EMPTY = ['node3']
LB_COST_PER_MIGRATION = 2
LB_COST_PER_GIB = 0.25`,
    );
    const rules = rulesOf(conf);
    expect(rules).toEqual({
      pinned: [
        { vm: 'shop', nodes: ['node1', 'node2'] },
        { vm: 'mail', nodes: ['node3'] },
      ],
      ignored: ['router'],
      together: [['web', 'db']],
      apart: [
        ['ns1', 'ns2', 'ns3'],
        ['web', 'mail'],
      ],
      empty: ['node3'],
    });
    expect(costOf(conf)).toEqual({ percentPerMigration: 2, percentPerGib: 0.25 });
    expect(vmsNamedBy(rules)).toEqual(['shop', 'mail', 'router', 'web', 'db', 'ns1', 'ns2', 'ns3']);
  });

  it('that cxm.conf accepts, the balancer accepts, whichever nodes and VMs there are', () => {
    const vm = fc.constantFrom('a', 'b', 'c', 'd');
    const words = (minLength: number) => fc.uniqueArray(vm, { minLength, maxLength: 3 }).map((list) => list.join(' '));
    const node = fc.constantFrom(...nodes, ...nodes, ...nodes, ...nodes, 'stranger');
    const pin = fc
      .tuple(vm, fc.uniqueArray(node, { minLength: 1, maxLength: 2 }))
      .map(([name, where]) => [name, ...where].join(' '));
    const keys = fc.record({
      LB_PIN: fc.array(pin, { maxLength: 3 }),
      LB_IGNORE: fc.uniqueArray(vm, { maxLength: 2 }),
      LB_TOGETHER: fc.array(words(2), { maxLength: 2 }),
      LB_APART: fc.array(words(2), { maxLength: 2 }),
      LB_EMPTY: fc.uniqueArray(node, { maxLength: 2 }),
    });
    const places = fc.dictionary(vm, fc.constantFrom(undefined, 'node1', 'node2'));
    const present = fc.constantFrom(nodes, ['node1', 'node2']);
    const homes = fc.uniqueArray(fc.record({ vm, nodes: fc.constantFrom(['node1'], ['node1', 'node2']) }), {
      selector: (one) => one.vm,
    });
    let accepted = 0;
    fc.assert(
      fc.property(keys, places, present, homes, (values, vms, there, possible) => {
        const text = Object.entries(values).map(
          ([key, list]) => `${key} = [${list.map((one) => `'${one}'`).join(', ')}]`,
        );
        let conf: CxmConf;
        try {
          conf = read(text.join('\n'));
        } catch (error) {
          expect(asCxmError(error).code).toBe('CONFIG');
          return;
        }
        accepted += 1;
        const rules = withHomes(rulesOf(conf), possible);
        const full = withNamedNodes(state(vms, there), rules);
        planBalance(full, {}, { rules });
        planPlacement(full, undefined, { rules });
        const about = rulesAbout(rules, new Set(Object.keys(vms)));
        expect(planBalance(withNamedNodes(full, about), {}, { rules: about }).unknownVms).toEqual([]);
      }),
      { numRuns: 1500 },
    );
    expect(accepted).toBeGreaterThan(200);
  });
});

describe('a VM that is pinned', () => {
  it('may be on those of the nodes that can hold it', () => {
    const rules = withHomes({ pinned: [{ vm: 'shop', nodes: ['node2', 'node3'] }] }, [
      { vm: 'shop', nodes: ['node1', 'node2'] },
      { vm: 'own', nodes: ['node3'] },
    ]);
    expect(rules.pinned).toEqual([
      { vm: 'shop', nodes: ['node2'] },
      { vm: 'own', nodes: ['node3'] },
    ]);
    expect(rules.ignored).toEqual([]);
  });

  it('stays where it is when none of them can', () => {
    const rules = withHomes({ pinned: [{ vm: 'shop', nodes: ['node2'] }] }, [
      { vm: 'shop', nodes: ['node1', 'node3'] },
    ]);
    const { plan, unresolved } = planBalance(state({ shop: 'node1' }), {}, { rules });
    expect(plan).toEqual([]);
    expect(unresolved).toEqual([{ rule: 'pin', vm: 'shop', node: 'node1' }]);
  });

  it('stays down when its node was left out of the cluster', () => {
    const rules = rulesOf(read("LB_PIN = ['shop node3']"));
    const there = withNamedNodes(state({ shop: undefined }, ['node1', 'node2']), rules);
    const { starts, left } = planPlacement(there, undefined, { rules });
    expect(starts).toEqual([]);
    expect(left).toEqual([{ vm: 'shop', memoryMib: 1024, obstacles: { node1: 'pin', node2: 'pin', node3: 'node' } }]);
  });
});
