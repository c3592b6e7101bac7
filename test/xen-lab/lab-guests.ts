/**
 * The two guests of tests that hurt a cluster under cxmd: where they run, what each has said of itself, and a watch over
 * both from their first start to the end.
 */
import { expect } from 'vitest';
import type { NodeName } from '../lab/layout.ts';
import { cxm, placesOn } from './core.ts';
import { db, known, patience, runOn, settled, web, type DaemonGuest } from './daemons.ts';
import { Watch } from './watch.ts';
import { Witness } from './witness.ts';

export interface WitnessedGuest extends DaemonGuest {
  readonly witness: Witness;
}

export class LabGuests {
  readonly all: readonly WitnessedGuest[] = [web, db].map((guest) => ({
    ...guest,
    witness: new Witness(guest.address),
  }));
  private watch: Watch | undefined;

  /** Starts both on the master, and begins to watch them. */
  async begin(): Promise<void> {
    const master = await settled();
    for (const guest of this.all) await runOn(master, guest, guest.witness);
    this.watch = new Watch(this.all);
  }

  /** Sees to it that one of them at least runs here, and that the other node knows. @returns which do */
  async inhabit(
    node: NodeName,
  ): Promise<{ readonly here: readonly WitnessedGuest[]; readonly elsewhere: readonly WitnessedGuest[] }> {
    if ((await placesOn(node)).guests.length === 0) {
      // The cluster may be about to move it itself, or hold its lock for a migration that has come to nothing.
      const obstacle = async (): Promise<string> => {
        const { exitCode, stderr } = await cxm(node, `migrate web ${node}`);
        return exitCode === 0 ? '' : stderr;
      };
      await expect.poll(obstacle, patience).toBe('');
    }
    const { guests } = await placesOn(node);
    const here = this.all.filter(({ name }) => guests.includes(name));
    await Promise.all(here.map(({ name }) => known(name, node)));
    for (const { witness } of this.all) await witness.goesOn();
    return { here, elsewhere: this.all.filter(({ name }) => !guests.includes(name)) };
  }

  /** All of them run on, none was started anew. */
  async goOn(): Promise<void> {
    for (const { witness } of this.all) await witness.goesOn();
  }

  /** What the watch has seen that can't be so, since this was asked last. */
  takeWrong(): readonly string[] {
    return this.watch?.takeWrong() ?? [];
  }

  async end(): Promise<void> {
    await this.watch?.end();
  }
}
