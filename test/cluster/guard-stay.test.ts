/** A VM that is kept where it runs, on nodes of the model. */
import { describe, expect, it } from 'vitest';
import { guardStay } from '../../src/cluster/guard.ts';
import { migrateVm } from '../../src/cluster/migrate.ts';
import { Stage, vm } from './model/stage.ts';

describe('a VM that has to stay', () => {
  it('is not moved before whoever keeps it lets go, also beside a node that is silent', async () => {
    const stage = new Stage();
    stage.put('node1');
    const events: string[] = [];
    const silent = stage.world.node('node3');
    silent.reachable = false;
    const keeper = stage.cluster(stage.operator('keeper'));
    const keeping = guardStay(keeper, { vm, node: 'node1' }, async () => {
      silent.reachable = true;
      events.push('kept');
      void migrateVm(stage.cluster(stage.operator('mover')), { vm, destination: 'node2' }).then(() => {
        events.push('moved');
      });
      await keeper.clock.sleep(10_000);
      events.push(`let go on ${stage.state.runsOn.join()}`);
      return 'done';
    });
    await stage.play(keeping);
    expect(events).toEqual(['kept', 'let go on node1', 'moved']);
  });

  it.each(['away', 'suspended', 'incoming'] as const)('must be there, and not %s', async (phase) => {
    const stage = new Stage();
    stage.put('node1', phase);
    const work = (): Promise<never> => Promise.reject(new Error('it was begun'));
    await expect(stage.play(guardStay(stage.cluster(), { vm, node: 'node1' }, work))).rejects.toMatchObject({
      code: 'REFUSED',
    });
    await expect(stage.play(guardStay(stage.cluster(), { vm, node: 'node2' }, work))).rejects.toMatchObject({
      code: 'REFUSED',
    });
  });
});
