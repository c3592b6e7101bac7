/** Faults of a node under cxmd on real Xen: what a round (support/rounds.ts) says is done, and undone again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon } from '../lab/daemons.ts';
import { lab } from '../lab/lab.ts';
import { nodeLayout, type NodeName } from '../lab/layout.ts';
import type { Round } from '../support/rounds.ts';
import { foundOff, freeSan, hangSan, signalDaemon } from './daemons.ts';
import { throttleSan } from './qemu.ts';

/** Does it to the node. When it is over the node is off, and known to be, or the fault has been taken away. */
export async function inflict({ kind, seconds, kibPerSecond }: Round, victim: NodeName): Promise<void> {
  const lasts = (): Promise<void> => sleep(seconds * 1000);
  switch (kind) {
    case 'power':
      await lab.kill(victim);
      return foundOff(victim);
    case 'freeze':
      lab.stop(victim);
      return foundOff(victim);
    case 'isolation':
      lab.cut(victim);
      await hangSan(victim);
      await foundOff(victim);
      return lab.heal(victim);
    case 'doze':
      lab.stop(victim);
      await lasts();
      // Fenced nodes don't wake.
      if (lab.isRunning(victim)) lab.cont(victim);
      return;
    case 'lan':
      lab.cut(victim);
      await lasts();
      return lab.heal(victim);
    case 'sanHang':
      await hangSan(victim);
      await lasts();
      return freeSan(victim);
    case 'sanSlow':
      await throttleSan(nodeLayout(victim), kibPerSecond * 1024);
      await lasts();
      return freeSan(victim);
    case 'crash':
      await signalDaemon(victim, 'KILL');
      await lasts();
      if (lab.isRunning(victim)) await startDaemon(victim);
      return;
  }
}
