/** What the master does about migrations that were cut off, on nodes of the model. */
import { expect, test } from 'vitest';
import { migrateVm } from '../../src/cluster/migrate.ts';
import { migrationMender } from '../../src/cxmd/migration-mender.ts';
import { CxmError } from '../../src/errors.ts';
import { configPath, Stage, vm, volume } from '../cluster/model/stage.ts';

const mended = { runsOn: ['node2'], domainsOn: ['node2'], activeOn: ['node2'], linkedOn: ['node2'], movesOn: [] };

class Master {
  readonly told: string[] = [];
  obstacle: string | undefined;
  private readonly mender;

  constructor(stage: Stage) {
    this.mender = migrationMender({ open: () => stage.cluster(stage.operator('cxmd')) });
  }

  round(): Promise<void> {
    const obstacle = (): string | undefined => this.obstacle;
    const tell = (text: string): void => void this.told.push(text);
    return this.mender.round({ nodes: ['node1', 'node2', 'node3'], maintenance: [], obstacle, tell });
  }
}

/** The VM has arrived at node2, but who had sent it there was killed before. */
function cutOff(): Stage {
  const stage = new Stage();
  stage.put('node2');
  stage.world.node('node1').active.add(volume);
  note(stage);
  return stage;
}

function note(stage: Stage): void {
  const move = { source: 'node1', destination: 'node2', linked: true };
  for (const name of ['node1', 'node2']) stage.world.node(name).moves.set(vm, move);
}

test('a VM whose migration was cut off gets its volumes for itself, its autostart link and its hook, once', async () => {
  const stage = cutOff();
  const master = new Master(stage);
  await stage.play(master.round());
  await stage.play(master.round());
  expect(stage.state).toEqual(mended);
  expect(stage.hooks).toEqual([`node1: ${vm} node1 node2`]);
  expect(master.told).toEqual([`${vm}: what a migration had left undone was done`]);
});

test('a migration that is under way is left alone, and nothing is told of it', async () => {
  const stage = new Stage();
  stage.put('node1');
  stage.world.node('node1').links.set(vm, configPath);
  const master = new Master(stage);
  let round: Promise<void> | undefined;
  const busy = stage.world.node('node1').busy;
  stage.watch = () => {
    if ((busy.get(vm) ?? 0) > 0) round ??= master.round();
  };
  await stage.play(migrateVm(stage.cluster(), { vm, destination: 'node2' }));
  expect(round).toBeDefined();
  await round;
  expect(stage.state).toEqual(mended);
  expect(stage.hooks).toHaveLength(1);
  expect([master.told, stage.warnings]).toEqual([[], []]);
});

test('nothing is touched while something speaks against it', async () => {
  const stage = cutOff();
  const before = stage.state;
  const master = new Master(stage);
  master.obstacle = 'the cluster is in panic';
  await stage.play(master.round());
  expect(stage.state).toEqual(before);
});

test('of a VM that runs nowhere is told once, and it is mended when it runs again', async () => {
  const stage = new Stage();
  note(stage);
  const master = new Master(stage);
  await stage.play(master.round());
  await stage.play(master.round());
  expect(master.told).toEqual([`${vm}: a migration was cut off, and is not mended: ${vm} runs on no node`]);
  stage.put('node2');
  await stage.play(master.round());
  expect(stage.state).toEqual(mended);
});

test('a migration of which nothing is left is forgotten without a word', async () => {
  const stage = new Stage();
  stage.put('node3');
  note(stage);
  const master = new Master(stage);
  await stage.play(master.round());
  expect(stage.state).toMatchObject({ runsOn: ['node3'], movesOn: [] });
  expect([master.told, stage.hooks]).toEqual([[], []]);
});

test('a cluster that can not be opened is told of, and does not end the daemon', async () => {
  const told: string[] = [];
  const mender = migrationMender({
    open: () => {
      throw new CxmError('NOT_FOUND', 'node9 is no node of the cluster');
    },
  });
  const tell = (text: string): void => void told.push(text);
  await mender.round({ nodes: ['node9'], maintenance: [], obstacle: () => undefined, tell });
  expect(told).toEqual(['nothing is mended: node9 is no node of the cluster']);
});
