/** Fence devices, and the watchdogs of the machines. */
import type { Effect, Result } from '../../src/ha/protocol/messages.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/**
 * `lies`: says that it has worked, and the power stays on. `late`: works, after a long time. `unconfirmed`: works, and
 * the power state can't be asked. `misreports`: works, and says that it has not.
 */
export type FenceMode = 'works' | 'fails' | 'late' | 'lies' | 'unconfirmed' | 'misreports';

export class Power {
  mode: FenceMode = 'works';
  /** Of all fences that have worked, the time from order to result; L1 is counted without it. */
  lastDurationMs = 0;
  fences = 0;
  /** Fence commands that have not ended yet. */
  underWay = 0;
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  fence(node: SimNode, effect: Extract<Effect, { kind: 'fence' }>): void {
    const { world } = this;
    const finish = node.finisher(effect.id);
    if (node.clockMs > effect.notAfterMs) return finish({ kind: 'fence', ok: false, reason: 'too late' });
    world.checks.fenceBegins(node, effect);
    world.log(node, `fences ${world.names[effect.node] ?? ''} (${this.mode})`);
    this.fences += 1;
    this.underWay += 1;
    // Where nobody asks for the power state, the fence command is believed: that it tells the truth is assumed.
    const mode = this.mode === 'lies' && world.fencing !== 'with-status' ? 'fails' : this.mode;
    const durationMs = mode === 'late' ? world.random.between(15_000, 50_000) : world.random.between(500, 4000);
    this.lastDurationMs = durationMs;
    const works = mode !== 'fails' && mode !== 'lies';
    if (works) {
      world.queue.after(durationMs * 0.9, () => {
        world.node(effect.node).powerOff();
      });
    }
    world.queue.after(durationMs, () => {
      this.underWay -= 1;
      const ok = mode !== 'fails' && mode !== 'misreports';
      const result: Result = { kind: 'fence', ok, reason: ok ? '' : 'exit status 1' };
      world.log(node, `fence command ended: ${String(ok)}`);
      finish(result);
    });
  }

  status(node: SimNode, effect: Extract<Effect, { kind: 'fence-status' }>): void {
    const { world } = this;
    const finish = node.finisher(effect.id);
    world.queue.after(world.random.between(50, 400), () => {
      const power = this.mode === 'unconfirmed' ? 'unknown' : world.node(effect.node).powered ? 'on' : 'off';
      finish({ kind: 'fence-status', power });
    });
  }

  /** Looks after the watchdogs, once a second. */
  watch(): void {
    const { world } = this;
    if (world.watchdogMs === 0) return;
    for (const node of world.nodes) {
      const isArmed = node.watchdogFedMs > 0 && node.powered && !(node.stopped && node.leftCleanly);
      if (isArmed && world.queue.nowMs - node.watchdogFedMs > world.watchdogMs) {
        world.log(node, 'the watchdog bites');
        node.powerOff();
        node.watchdogFedMs = 0;
      }
    }
    world.queue.after(200, () => {
      this.watch();
    });
  }
}
