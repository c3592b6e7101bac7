/** What a key does to the screen of `cxm top`. Pure. */
import type { TopScreen } from './top-frame.ts';
import type { SortKey } from './top-view.ts';

/** As Node's readline names keys. */
export interface Key {
  readonly name: string | undefined;
  /** The characters themselves. */
  readonly sequence: string;
  readonly ctrl: boolean;
}

export type KeyEffect =
  | { readonly kind: 'screen'; readonly screen: TopScreen }
  | { readonly kind: 'refresh' }
  | { readonly kind: 'suspend' }
  | { readonly kind: 'quit' }
  | { readonly kind: 'none' };

export const intervals = [1, 2, 3, 5, 10, 20, 30, 60] as const;

const sorts: Readonly<Record<string, SortKey>> = { c: 'cpu', m: 'memory', d: 'disk', n: 'network', a: 'name' };

export interface Surroundings {
  readonly nodes: readonly string[];
  /** Lines of a page. */
  readonly page: number;
  /** How far the VMs can be scrolled. */
  readonly lastSkip: number;
}

export function pressKey(screen: TopScreen, key: Key, around: Surroundings): KeyEffect {
  const quits = key.sequence === 'q' || (key.ctrl && (key.name === 'c' || key.name === 'd'));
  if (quits) return { kind: 'quit' };
  if (key.ctrl && key.name === 'z') return { kind: 'suspend' };
  if (screen.help) return changed({ ...screen, help: false });
  if (key.name === 'escape') return { kind: 'quit' };
  const scrolled = scroll(screen.skipped, key.name, around);
  if (scrolled !== undefined) return changed({ ...screen, skipped: scrolled });
  const sort = Object.hasOwn(sorts, key.sequence) ? sorts[key.sequence] : undefined;
  if (sort !== undefined) return changed({ ...screen, sort, skipped: 0 });
  switch (key.sequence) {
    case 'h':
    case '?':
      return changed({ ...screen, help: true });
    case 'f':
      return changed({ ...screen, node: nodeAfter(screen.node, around.nodes), skipped: 0 });
    case 'F':
      return changed({ ...screen, node: undefined, skipped: 0 });
    case '+':
    case '=':
      return changed({ ...screen, intervalSeconds: longer(screen.intervalSeconds) });
    case '-':
      return changed({ ...screen, intervalSeconds: shorter(screen.intervalSeconds) });
    case ' ':
      return { kind: 'refresh' };
    default:
      return { kind: 'none' };
  }
}

function changed(screen: TopScreen): KeyEffect {
  return { kind: 'screen', screen };
}

function scroll(skipped: number, name: string | undefined, { page, lastSkip }: Surroundings): number | undefined {
  const steps: Readonly<Record<string, number>> = {
    up: -1,
    down: 1,
    pageup: -page,
    pagedown: page,
    home: -Infinity,
    end: Infinity,
  };
  const step = name !== undefined && Object.hasOwn(steps, name) ? steps[name] : undefined;
  return step === undefined ? undefined : Math.max(0, Math.min(lastSkip, skipped + step));
}

/** All, the first one, ..., the last one, all. */
function nodeAfter(node: string | undefined, nodes: readonly string[]): string | undefined {
  return node === undefined ? nodes[0] : nodes[nodes.indexOf(node) + 1];
}

function longer(seconds: number): number {
  return intervals.find((candidate) => candidate > seconds) ?? seconds;
}

function shorter(seconds: number): number {
  return intervals.findLast((candidate) => candidate < seconds) ?? seconds;
}
