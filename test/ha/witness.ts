/**
 * Looks all the time where the simulated VMs run, from outside of everything that is tested.
 *
 * Guarantees: a VM counts as seen on two nodes only if it ran on one of them, then on the other one, and after that on
 * the first one still, so that one that moves between two looks is none.
 */
import type { Layout, NodeLayout } from '../../src/sandbox/layout.ts';
import type { SimulatedDomain } from '../../src/sandbox/xl/domain.ts';
import { Store } from '../../src/sandbox/xl/store.ts';

export const lookEveryMs = 50;

export class Witness {
  /** How often it has looked. */
  looks = 0;
  private readonly found = new Map<string, string>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly layout: Layout) {}

  start(): void {
    this.timer = setInterval(() => this.look(), lookEveryMs);
  }

  stop(): void {
    this.look();
    clearInterval(this.timer);
  }

  /** Sentences: which VM ran on which two nodes. */
  get twice(): readonly string[] {
    return [...this.found.values()];
  }

  look(): void {
    this.looks += 1;
    const seen = new Map<string, { readonly node: NodeLayout; readonly id: number }>();
    for (const node of this.layout.nodes) {
      for (const { name, id } of runningOn(node)) {
        const other = seen.get(name);
        if (other === undefined) seen.set(name, { node, id });
        else if (runningOn(other.node).some((domain) => domain.id === other.id)) {
          this.found.set(name, `${name} ran on ${other.node.name} and ${node.name} at once`);
        }
      }
    }
  }
}

/** Those that execute: not while they are built, nor suspended to be sent, nor shut down. */
export function runningOn(node: NodeLayout): readonly SimulatedDomain[] {
  return new Store(node.xen)
    .domains()
    .filter(({ building, paused, shutdown }) => building === undefined && !paused && shutdown === undefined);
}
