/**
 * What is being done, on standard error. On a terminal the step under way is one live line with its seconds, and gets a sign
 * when it has ended; elsewhere each step is a plain line as it begins. What only waits is told after a second, and leaves
 * nothing on a terminal. With --quiet nothing of this is said.
 */
import type { Reporter } from '../cluster/cluster.ts';
import type { CliStream } from './environment.ts';
import { printable } from './printable.ts';
import type { Style } from './style.ts';

const tickMs = 250;
const patienceMs = 1000;

interface Live {
  readonly text: string;
  readonly since: number;
  readonly isStep: boolean;
  warned: boolean;
}

export class Progress implements Reporter {
  private live: Live | undefined;
  private timer: NodeJS.Timeout | undefined;
  private drawn = false;
  /** Several things go on at once: a step that begins says nothing of the one before. */
  parallel = false;
  /** A step has been begun: something may have been changed. */
  begun = false;

  constructor(
    private readonly stream: CliStream,
    private readonly style: Style,
    private readonly quiet: boolean,
  ) {}

  step(text: string): void {
    this.finish('done');
    this.begun = true;
    if (this.quiet) return;
    if (this.parallel || !this.style.live) {
      this.write(`${this.style.paint('dim', printable(text))}\n`);
      return;
    }
    this.begin(text, true);
  }

  note(severity: 'INFO' | 'WARN', text: string): void {
    if (this.quiet) return;
    if (this.live !== undefined) this.live.warned = severity === 'WARN';
    this.clear();
    const label = severity === 'WARN' ? this.style.paint('yellow', 'warning: ') : '';
    this.write(`${label}${printable(text)}\n`);
    this.draw();
  }

  /** Says after a second what is waited for; `text` is asked again each time. */
  async during<T>(text: () => string, work: Promise<T>): Promise<T> {
    if (this.quiet) return work;
    this.finish('done');
    const timer = setTimeout(() => {
      if (this.style.live) this.begin(text(), false);
      else this.write(`${printable(text())}\n`);
    }, patienceMs);
    try {
      return await work;
    } finally {
      clearTimeout(timer);
      this.finish('done');
    }
  }

  /** The step under way has ended. Waiting just disappears. */
  finish(how: 'done' | 'failed'): void {
    const { live } = this;
    clearInterval(this.timer);
    this.clear();
    this.live = undefined;
    if (live === undefined || !live.isStep) return;
    const { signs, paint } = this.style;
    const sign =
      how === 'failed'
        ? paint('red', signs.failed)
        : live.warned
          ? paint('yellow', signs.noted)
          : paint('green', signs.done);
    this.write(`${sign} ${printable(live.text)}${this.seconds(live)}\n`);
  }

  private begin(text: string, isStep: boolean): void {
    this.live = { text, since: performance.now(), isStep, warned: false };
    this.draw();
    this.timer = setInterval(() => this.draw(), tickMs);
    this.timer.unref();
  }

  private draw(): void {
    const { live } = this;
    if (live === undefined || !this.style.live) return;
    this.clear();
    const line = `${this.style.signs.busy} ${printable(live.text)}${this.seconds(live)}`;
    // A line that wraps could not be taken back.
    this.write(line.slice(0, this.style.width - 1));
    this.drawn = true;
  }

  private seconds({ since }: Live): string {
    const seconds = Math.floor((performance.now() - since) / 1000);
    return seconds < 1 ? '' : `  ${seconds} s`;
  }

  private clear(): void {
    if (this.drawn) this.write('\r\x1b[K');
    this.drawn = false;
  }

  private write(text: string): void {
    this.stream.write(text);
  }
}
