/** The language of `events`: what can happen to a cluster, a line each, in words. */
import { powerOn } from '../simulation/faults.ts';
import { createVm, rawMigrate } from '../simulation/operators.ts';
import type { FenceMode } from '../simulation/power.ts';
import type { SimNode } from '../simulation/node.ts';
import type { World } from '../simulation/world.ts';
import type { Call } from '../../src/ha/protocol/messages.ts';

type Words = readonly string[];
type Action = (world: World, words: Words) => void;

function nodeOf(world: World, name = ''): SimNode {
  if (name === 'master') return world.master() ?? world.node(0);
  return world.node(world.names.indexOf(name));
}

function call(world: World, node: SimNode, what: Call): void {
  node.call(what, ({ ok, text }) => {
    world.log(node, `answers ${what.kind}: ${ok ? 'yes' : 'no'}, ${text}`);
  });
}

function restart(world: World, node: SimNode): void {
  node.call({ kind: 'leave' });
  world.queue.after(4000, () => {
    node.boot();
  });
}

function setDisk(world: World, nodes: readonly SimNode[], mode: string, slowMs: number): void {
  for (const { index } of nodes) {
    if (mode === 'fine') world.disk.heal(index);
    else Object.assign(world.disk.path(index), { mode, slowMs });
  }
}

/** A pattern, of which `%n` is a node and `%w` a word, and what it does with them. */
const actions: readonly (readonly [string, Action])[] = [
  ['%n loses power', (world, [node]) => nodeOf(world, node).powerOff()],
  [
    'everybody loses power',
    (world) => {
      for (const node of world.nodes) node.powerOff();
    },
  ],
  ['%n gets power', (world, [node]) => powerOn(world, nodeOf(world, node).index)],
  ['%n crashes', (world, [node]) => nodeOf(world, node).crash()],
  ['%n starts', (world, [node]) => nodeOf(world, node).boot()],
  ['%n leaves', (world, [node]) => call(world, nodeOf(world, node), { kind: 'leave' })],
  ['%n restarts', (world, [node]) => restart(world, nodeOf(world, node))],
  ['%n sleeps %w s', (world, [node, s]) => nodeOf(world, node).pause(Number(s) * 1000, { midway: false })],
  [
    '%n sleeps %w s before it can %w',
    (world, [, s, effect]) => {
      const kinds = { order: 'order', fence: 'fence', start: 'start' } as const;
      const kind = Object.values(kinds).find((one) => one === effect) ?? 'order';
      world.trap = { kind: 'trap', effect: kind, action: 'pause', forMs: Number(s) * 1000 };
    },
  ],
  [
    'the master dies before it can %w',
    (world, [effect]) => {
      const kind = effect === 'fence' ? 'fence' : 'order';
      world.trap = { kind: 'trap', effect: kind, action: 'power-loss', forMs: 0 };
    },
  ],
  [
    'the next one to start a VM loses power',
    (world) => {
      world.trap = { kind: 'trap', effect: 'start', action: 'power-loss', forMs: 0 };
    },
  ],
  ['%n is cut off from the LAN', (world, [node]) => world.network.isolate(nodeOf(world, node).index)],
  [
    'the LAN from %n to %n is cut',
    (world, [from, to]) => world.network.cut(nodeOf(world, from).index, nodeOf(world, to).index),
  ],
  [
    'the LAN is gone',
    (world) => {
      for (const { index } of world.nodes) world.network.isolate(index);
    },
  ],
  [
    'the LAN loses %w % and delays %w ms',
    (world, [loss, spread]) => {
      world.network.loss = Number(loss) / 100;
      world.network.spreadMs = Number(spread);
    },
  ],
  ['the LAN is fine', (world) => world.network.heal()],
  [
    'the VMs of %n cannot be pinged',
    (world, [node]) => {
      world.network.pingCut[nodeOf(world, node).index] = true;
    },
  ],
  [
    '%n resolves no name',
    (world, [node]) => {
      nodeOf(world, node).troubles.pingsUnresolved = true;
    },
  ],
  ['the disk of %n is %w', (world, [node, mode = '']) => setDisk(world, [nodeOf(world, node)], mode, 3000)],
  ['the disk of %n is slow by %w ms', (world, [node, ms]) => setDisk(world, [nodeOf(world, node)], 'slow', Number(ms))],
  ['the disk is %w', (world, [mode = '']) => setDisk(world, world.nodes, mode, 3000)],
  ['the disk is slow by %w ms', (world, [ms]) => setDisk(world, world.nodes, 'slow', Number(ms))],
  [
    'for %w s the storage loses what is written to the lease',
    (world, [s]) => {
      world.disk.leaseLostUntilMs = world.queue.nowMs + Number(s) * 1000;
    },
  ],
  ['the slot of %n is damaged', (world, [node]) => world.disk.tearSlot(nodeOf(world, node).index)],
  [
    'another disk is in place',
    (world) => {
      world.disk.wipe();
      world.checks.forgetEpochs();
    },
  ],
  ['%n is told of another disk', (world, [node]) => void world.diskIds.set(nodeOf(world, node).index, 'new disk')],
  [
    'the fence device %w',
    (world, [word]) => {
      const modes: readonly FenceMode[] = ['works', 'fails', 'late', 'lies', 'unconfirmed', 'misreports'];
      world.power.mode = modes.find((mode) => mode === word) ?? 'works';
    },
  ],
  [
    'the clock of %n is set by %w s',
    (world, [node, s]) => {
      nodeOf(world, node).wallOffsetMs += Number(s) * 1000;
    },
  ],
  ['%n says panic', (world, [node]) => call(world, nodeOf(world, node), { kind: 'force-panic', reason: 'a test' })],
  ['%n says recover', (world, [node]) => call(world, nodeOf(world, node), { kind: 'recover' })],
  ['%n says election', (world, [node]) => call(world, nodeOf(world, node), { kind: 'force-election' })],
  [
    '%n says maintenance %w',
    (world, [node, on]) => call(world, nodeOf(world, node), { kind: 'maintenance', on: on === 'on' }),
  ],
  ['%n says disarm %w', (world, [node, on]) => call(world, nodeOf(world, node), { kind: 'disarm', on: on === 'on' })],
  [
    '%n says kill %n',
    (world, [node, victim]) => {
      const what = { kind: 'kill', node: nodeOf(world, victim).index, confirmedOff: false } as const;
      call(world, nodeOf(world, node), what);
    },
  ],
  [
    '%n says kill %n which is off',
    (world, [node, victim]) => {
      const what = { kind: 'kill', node: nodeOf(world, victim).index, confirmedOff: true } as const;
      call(world, nodeOf(world, node), what);
    },
  ],
  [
    '%n says lock %w for %w',
    (world, [node, name = '', holder = '']) => call(world, nodeOf(world, node), { kind: 'lock', name, holder }),
  ],
  ['%w is created on %n', (world, [vm = '', node]) => createVm(world, nodeOf(world, node).index, vm)],
  [
    '%w is shut down',
    (world, [vm = '']) => {
      const host = world.guests.hostOf(vm);
      if (host !== undefined) world.guests.down(host, vm);
    },
  ],
  [
    'a VM of %n is moved to %n by hand',
    (world, [from, to]) => rawMigrate(world, nodeOf(world, from).index, nodeOf(world, to).index),
  ],
  [
    '%n is told of the nodes %w',
    (world, [node, list = '']) => {
      const names = list.split(',').map((name) => (name === '-' ? '' : name));
      world.lists.set(nodeOf(world, node).index, names);
    },
  ],
  [
    '%n has the key %w and accepts %w',
    (world, [node, own = '', accepted = '']) => {
      if (world.keys.size === 0)
        for (const { index } of world.nodes) world.keys.set(index, { own: 'old', accepted: ['old'] });
      world.keys.set(nodeOf(world, node).index, { own, accepted: accepted.split(',') });
    },
  ],
];

const patterns = actions.map(([pattern, action]) => {
  const source = pattern.replaceAll('%n', '(node[0-9]+|master)').replaceAll('%w', '([^ ]+)');
  return { regex: new RegExp(`^${source}$`), action };
});

export function perform(world: World, command: string): void {
  for (const { regex, action } of patterns) {
    const match = regex.exec(command);
    if (match !== null) return action(world, match.slice(1));
  }
  throw new Error(`events: "${command}" is no command`);
}
