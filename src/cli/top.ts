/**
 * The two ways `cxm top` runs: tables or JSON lines one after the other, or a screen that answers to keys. Neither waits
 * for a node that hangs: it is shown as silent while the others go on. The screen is given back however this ends.
 */
import type { Clock } from '../host/clock.ts';
import type { ClusterWatch } from '../cluster/metrics-watch.ts';
import { frameOf, lastSkip, type Size, type TopScreen } from './top-frame.ts';
import { topJson } from './top-json.ts';
import { pressKey, type Key } from './top-keys.ts';
import type { Style } from './style.ts';
import { nodeLines, vmLines } from './top-table.ts';
import { viewOf, type SortKey, type TopView } from './top-view.ts';

export interface TopOptions {
  readonly intervalSeconds: number;
  readonly sort: SortKey;
  readonly node: string | undefined;
}

export interface TopWorld {
  readonly watch: ClusterWatch;
  readonly nodes: readonly string[];
  readonly clock: Clock;
  /** The time of day, to be shown. */
  today(): Date;
  /** Aborted when whoever looks has gone. */
  readonly signal: AbortSignal;
  readonly style: Style;
}

/** A node may take so long before the rest is shown without it; it is silent after `graceMs`. */
const patienceMs = 1500;
/** Rates need a second reading: it comes soon after the first. */
const firstIntervalMs = 1000;

function graceMs(intervalSeconds: number): number {
  return Math.max(5000, 2000 * intervalSeconds);
}

export interface BatchOptions extends TopOptions {
  readonly iterations: number;
  readonly json: boolean;
  readonly columns: number;
}

/** @returns false if a node was silent in the last table */
export async function runBatch(
  world: TopWorld,
  options: BatchOptions,
  write: (text: string) => void,
): Promise<boolean> {
  const { watch, clock, signal } = world;
  const intervalMs = options.intervalSeconds * 1000;
  const grace = graceMs(options.intervalSeconds);
  let complete = true;
  await Promise.race([watch.poll(), clock.sleep(grace), aborted(signal)]);
  for (let iteration = 0; iteration < options.iterations && !signal.aborted; iteration += 1) {
    await Promise.race([clock.sleep(intervalMs), aborted(signal)]);
    // Whoever is silent already is not waited for.
    const heard = watch.look(grace).every(({ silence }) => silence === undefined);
    await Promise.race([watch.poll(), clock.sleep(heard ? grace : patienceMs), aborted(signal)]);
    if (signal.aborted) break;
    const watched = watch.look(heard ? grace : patienceMs);
    complete = watched.every(({ silence }) => silence === undefined);
    if (options.json) write(`${JSON.stringify(topJson(watched, options, world.today()))}\n`);
    else write(batchText(viewOf(watched, options), world, options));
  }
  return complete;
}

function batchText(view: TopView, { today, style }: TopWorld, { columns }: BatchOptions): string {
  const { answering, runningVms, loadPercent } = view.totals;
  const title = `${timeOf(today())}  ${answering} of ${view.nodes.length} nodes, ${runningVms} VMs, load ${loadPercent}%`;
  const lines = [title, ...nodeLines(view, columns, style), '', ...vmLines(view.vms, columns, style), ''];
  return lines.map((line) => `${line}\n`).join('');
}

/** A terminal in the hands of top. */
export interface LiveTerminal {
  readonly size: Size;
  draw(lines: readonly string[]): void;
  /** Called at each key and, without one, when the size has changed or top was continued. */
  listen(onKey: (key: Key) => void, onResize: () => void): void;
  /** Gives the terminal back and stops this process, until somebody continues it. */
  suspend(): void;
  /** Gives the terminal back. Any number of times. */
  close(): void;
}

export async function runScreen(world: TopWorld, options: TopOptions, terminal: LiveTerminal): Promise<void> {
  const onAbort = (): void => terminal.close();
  world.signal.addEventListener('abort', onAbort);
  try {
    if (!world.signal.aborted) await new ScreenRun(world, options, terminal).run();
  } finally {
    world.signal.removeEventListener('abort', onAbort);
    terminal.close();
  }
}

class ScreenRun {
  private screen: TopScreen;
  private left = false;
  private wake: () => void = () => undefined;

  constructor(
    private readonly world: TopWorld,
    options: TopOptions,
    private readonly terminal: LiveTerminal,
  ) {
    this.screen = { ...options, skipped: 0, help: false };
  }

  async run(): Promise<void> {
    const { watch, clock, signal } = this.world;
    signal.addEventListener('abort', () => this.wake());
    this.terminal.listen(
      (key) => this.press(key),
      () => this.draw(),
    );
    this.draw();
    for (let round = 0; !this.ended; round += 1) {
      const begun = clock.now();
      await this.until([watch.poll(), clock.sleep(patienceMs)]);
      this.draw();
      const waitMs = round === 0 ? firstIntervalMs : this.screen.intervalSeconds * 1000;
      await this.until([clock.sleep(Math.max(100, waitMs - (clock.now() - begun)))]);
    }
  }

  private get ended(): boolean {
    return this.left || this.world.signal.aborted;
  }

  /** Any of these, or somebody's wish. */
  private async until(events: readonly Promise<unknown>[]): Promise<void> {
    if (this.ended) return;
    const woken = new Promise<void>((resolve) => (this.wake = resolve));
    await Promise.race([...events, woken]);
  }

  private press(key: Key): void {
    const { size } = this.terminal;
    const view = this.view();
    const around = { nodes: this.world.nodes, page: Math.max(1, size.rows - 10), lastSkip: lastSkip(view, size) };
    const effect = pressKey(this.screen, key, around);
    switch (effect.kind) {
      case 'screen': {
        const other = effect.screen.intervalSeconds !== this.screen.intervalSeconds;
        this.screen = effect.screen;
        this.draw();
        if (other) this.wake();
        return;
      }
      case 'refresh':
        return this.wake();
      case 'suspend':
        return this.terminal.suspend();
      case 'quit':
        this.left = true;
        return this.wake();
      case 'none':
        return;
    }
  }

  private view(): TopView {
    return viewOf(this.world.watch.look(graceMs(this.screen.intervalSeconds)), this.screen);
  }

  private draw(): void {
    if (this.ended) return;
    const { size } = this.terminal;
    const view = this.view();
    // VMs may have gone since somebody scrolled there.
    const skipped = Math.min(this.screen.skipped, lastSkip(view, size));
    const screen = { ...this.screen, skipped };
    this.terminal.draw(frameOf(view, screen, size, timeOf(this.world.today()), this.world.style));
  }
}

function timeOf(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
