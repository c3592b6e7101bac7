/** Whoever is to see a VM run twice must be known to see it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NodeLayout } from '../../src/sandbox/layout.ts';
import type { SimulatedDomain } from '../../src/sandbox/xl/domain.ts';
import { Store } from '../../src/sandbox/xl/store.ts';
import { CliSandbox } from '../cli/sandbox.ts';
import { Witness } from './witness.ts';

const vm = 'web.example.org';
let sandbox: CliSandbox;
let witness: Witness;

beforeEach(async () => {
  sandbox = new CliSandbox();
  witness = new Witness(sandbox.layout);
  sandbox.addVm(vm);
  expect(await sandbox.cxm(['create', vm, '-f', 'node1', '--quiet'])).toMatchObject({ exitCode: 0 });
});

afterEach(() => sandbox.close());

function storeOf(name: string): Store {
  return new Store((sandbox.layout.nodes.find((node) => node.name === name) as NodeLayout).xen);
}

/** The same domain on node2, as only a breakage of everything could make it. */
function copyToNode2(change: Partial<SimulatedDomain> = {}): void {
  const [domain] = storeOf('node1').domains();
  if (domain === undefined) throw new Error('it does not run');
  storeOf('node2').put({ ...domain, ...change });
}

test('a VM that runs on two nodes is seen', () => {
  witness.look();
  expect(witness.twice).toEqual([]);
  copyToNode2();
  witness.look();
  expect(witness.twice).toEqual([`${vm} ran on node1 and node2 at once`]);
});

test('one that is suspended on the first node, to run on the second, is none', () => {
  copyToNode2({ shutdown: 'suspend' });
  witness.look();
  copyToNode2({ paused: true });
  witness.look();
  expect(witness.twice).toEqual([]);
});
