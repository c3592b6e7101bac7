/** Migrations that come to no good end, on nodes of the model: what they leave, and what their repetition makes of it. */
import { describe, expect, it } from 'vitest';
import { migrateVm, planMigration } from '../../src/cluster/migrate.ts';
import { xlError } from './model/programs.ts';
import { configPath, Stage, vm, volume } from './model/stage.ts';

const mended = { runsOn: ['node2'], domainsOn: ['node2'], activeOn: ['node2'], linkedOn: ['node2'], movesOn: [] };

function running(options: ConstructorParameters<typeof Stage>[0] = {}): Stage {
  const stage = new Stage(options);
  stage.put('node1');
  stage.world.node('node1').links.set(vm, configPath);
  return stage;
}

const migrate = (stage: Stage, destination: string) => stage.play(migrateVm(stage.cluster(), { vm, destination }));

describe('a migration whose cxm is killed while xl works', () => {
  async function killed(): Promise<Stage> {
    const stage = running();
    const operator = stage.operator('first');
    const busy = stage.world.node('node1').busy;
    stage.watch = () => {
      if (!operator.killed && (busy.get(vm) ?? 0) > 0) operator.kill();
    };
    void migrateVm(stage.cluster(operator), { vm, destination: 'node2' });
    await stage.scheduler.drain(10_000);
    expect(stage.state).toMatchObject({ runsOn: ['node2'], activeOn: ['node1', 'node2'], linkedOn: [] });
    expect(stage.hooks).toEqual([]);
    return stage;
  }

  it('is brought to its end by its repetition: volumes, autostart link and hook', async () => {
    const stage = await killed();
    expect(await migrate(stage, 'node2')).toEqual({ source: 'node2', alreadyThere: true, mended: true });
    expect(stage.state).toEqual(mended);
    expect(stage.modes).toEqual(new Map([[`node2 ${volume}`, 'exclusive']]));
    expect(stage.hooks).toEqual([`node1: ${vm} node1 node2`]);
    expect(await migrate(stage, 'node2')).toEqual({ source: 'node2', alreadyThere: true, mended: false });
    expect(stage.hooks).toHaveLength(1);
  });

  it('shows in a dry run what its repetition would do, and does nothing of it', async () => {
    const stage = await killed();
    const before = stage.state;
    const plan = await stage.play(planMigration(stage.cluster(), { vm, destination: 'node2' }));
    expect(plan.kind === 'there' ? plan.steps.map(({ kind }) => kind) : plan.kind).toEqual([
      ...['deactivate', 'activate', 'link', 'hook'],
    ]);
    expect(stage.state).toEqual(before);
  });

  it('keeps its autostart link when it is moved on from there', async () => {
    const stage = await killed();
    await migrate(stage, 'node3');
    const there = ['node3'];
    expect(stage.state).toEqual({ runsOn: there, domainsOn: there, activeOn: there, linkedOn: there, movesOn: [] });
  });

  it('whose mending fails in part is mended by the next repetition', async () => {
    const stage = await killed();
    const cluster = stage.cluster();
    const without = {
      ...cluster,
      nodes: cluster.nodes.map((node) => ({
        ...node,
        under: (locked: string) => {
          const body = node.under(locked);
          const files = { ...body.files, setLink: () => Promise.reject(new Error('the disk is full')) };
          return { ...body, files };
        },
      })),
    };
    await stage.play(migrateVm(without, { vm, destination: 'node2' }));
    expect(stage.state).toMatchObject({ linkedOn: [], movesOn: ['node1', 'node2'] });
    expect(stage.warnings.join()).toContain('the disk is full');
    await migrate(stage, 'node2');
    expect(stage.state).toEqual(mended);
  });
});

describe('a VM that is at the destination', () => {
  it('loses the suspended domain that a lost handshake has left at its source', async () => {
    const stage = new Stage();
    stage.put('node2');
    stage.put('node1', 'away');
    expect(await migrate(stage, 'node2')).toMatchObject({ alreadyThere: true, mended: true });
    expect(stage.state).toEqual({ ...mended, linkedOn: [] });
    expect(stage.hooks).toEqual([`node1: ${vm} node1 node2`]);
  });

  it('is moved nowhere else before that, and it is said how', async () => {
    const stage = new Stage();
    stage.put('node2');
    stage.put('node1', 'away');
    await expect(migrate(stage, 'node3')).rejects.toMatchObject({
      code: 'REFUSED',
      hint: expect.stringContaining(`cxm migrate ${vm} node2`) as string,
    });
  });

  it('is left alone while another one arrives or is built on a third node', async () => {
    for (const phase of ['incoming', 'building', 'poweredOff'] as const) {
      const stage = new Stage();
      stage.put('node2');
      stage.put('node1', phase);
      await expect(migrate(stage, 'node2')).rejects.toMatchObject({ code: 'REFUSED' });
      expect(stage.state.domainsOn).toEqual(['node1', 'node2']);
    }
  });

  it('is not touched when all is well', async () => {
    const stage = new Stage();
    stage.put('node2');
    expect(await migrate(stage, 'node2')).toEqual({ source: 'node2', alreadyThere: true, mended: false });
    expect([stage.modes.size, stage.hooks.length, stage.warnings.length]).toEqual([0, 0, 0]);
  });

  it('does not take its volume from somebody who has it open elsewhere, but that is told', async () => {
    const stage = new Stage();
    stage.put('node2');
    stage.put('node3');
    for (const domain of stage.world.node('node3').domains) Object.assign(domain, { vm: 'another' });
    await migrate(stage, 'node2');
    expect(stage.state.activeOn).toEqual(['node2', 'node3']);
    expect(stage.warnings).toEqual([`san/${volume} of ${vm} is in use on node3, too`]);
  });
});

describe('a VM that has stayed although its migration was not concluded', () => {
  function stayed(): Stage {
    const stage = new Stage();
    stage.put('node1');
    stage.world.node('node2').active.add(volume);
    const move = { source: 'node1', destination: 'node2', linked: true };
    for (const name of ['node1', 'node2']) stage.world.node(name).moves.set(vm, move);
    return stage;
  }

  it('gets its autostart link when it moves at last', async () => {
    const stage = stayed();
    expect(await migrate(stage, 'node2')).toMatchObject({ alreadyThere: false });
    expect(stage.state).toEqual(mended);
  });

  it('gets it back, and its volumes for itself, when it is wanted where it is', async () => {
    const stage = stayed();
    expect(await migrate(stage, 'node1')).toMatchObject({ mended: true });
    const here = ['node1'];
    expect(stage.state).toEqual({ runsOn: here, domainsOn: here, activeOn: here, linkedOn: here, movesOn: [] });
    expect(stage.hooks).toEqual([]);
  });
});

describe('a migration that fails', () => {
  const broken = { migrate: () => Promise.reject(xlError('receiverFailed')) };

  it('leaves the VM as it was', async () => {
    const stage = running(broken);
    const before = stage.state;
    await expect(migrate(stage, 'node2')).rejects.toMatchObject({ changed: 'rolled-back' });
    expect(stage.state).toEqual(before);
  });

  it('gives the source its exclusive lock back where LVM has locks, so that LVM itself refuses others again', async () => {
    const stage = running({ ...broken, lockType: 'sanlock' });
    await expect(migrate(stage, 'node2')).rejects.toMatchObject({ changed: 'rolled-back' });
    expect(stage.modes).toEqual(new Map([[`node1 ${volume}`, 'exclusive']]));
    expect(stage.state.activeOn).toEqual(['node1']);
  });
});
