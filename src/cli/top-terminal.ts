/**
 * The real terminal of `cxm top`: the alternate screen, keys one by one, no cursor and no wrapped lines, and all of it undone
 * when top ends, is stopped or dies of a signal. Only a SIGKILL leaves the terminal as it is: `reset` helps then.
 */
import { emitKeypressEvents } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';
import type { LiveTerminal } from './top.ts';
import type { Size } from './top-frame.ts';
import type { Key } from './top-keys.ts';

const enterScreen = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const leaveScreen = '\x1b[?7h\x1b[?25h\x1b[?1049l';
/** A terminal that does not say how large it is. */
const usualSize = { columns: 80, rows: 24 };

export class ProcessTerminal implements LiveTerminal {
  private isOurs = false;
  private closed = false;
  private readonly undo: (() => void)[] = [];

  constructor(
    private readonly input: ReadStream,
    private readonly output: WriteStream,
  ) {}

  get size(): Size {
    const { columns, rows } = this.output;
    return { columns: columns || usualSize.columns, rows: rows || usualSize.rows };
  }

  draw(lines: readonly string[]): void {
    if (!this.isOurs) return;
    const text = lines.map((line) => `${line}\x1b[0m\x1b[K`).join('\r\n');
    this.output.write(`\x1b[H${text}\x1b[J`);
  }

  listen(onKey: (key: Key) => void, onResize: () => void): void {
    const pressed = (_: string | undefined, key: { name?: string; sequence?: string; ctrl?: boolean }): void =>
      onKey({ name: key.name, sequence: key.sequence ?? '', ctrl: key.ctrl === true });
    emitKeypressEvents(this.input);
    this.input.on('keypress', pressed);
    this.undo.push(() => this.input.off('keypress', pressed));
    this.output.on('resize', onResize);
    this.undo.push(() => this.output.off('resize', onResize));
    const restore = (): void => this.restore();
    process.on('exit', restore);
    this.undo.push(() => process.off('exit', restore));
    this.onSignal('SIGTSTP', () => {
      this.restore();
      process.kill(process.pid, 'SIGSTOP');
    });
    this.onSignal('SIGCONT', () => {
      this.take();
      onResize();
    });
    this.onSignal('SIGQUIT', () => {
      this.close();
      process.kill(process.pid, 'SIGQUIT');
    });
    this.take();
  }

  suspend(): void {
    // The whole job stops, as with a Ctrl-Z that the terminal sends: sudo, too, if that is what started us.
    process.kill(0, 'SIGTSTP');
  }

  close(): void {
    this.restore();
    this.closed = true;
    for (const undo of this.undo.splice(0)) undo();
  }

  private onSignal(signal: NodeJS.Signals, act: () => void): void {
    process.on(signal, act);
    this.undo.push(() => process.off(signal, act));
  }

  private take(): void {
    if (this.isOurs || this.closed) return;
    this.isOurs = true;
    this.input.setRawMode(true);
    this.input.resume();
    this.output.write(enterScreen);
  }

  private restore(): void {
    if (!this.isOurs) return;
    this.isOurs = false;
    try {
      this.output.write(leaveScreen);
      this.input.setRawMode(false);
      this.input.pause();
    } catch {
      // The terminal has gone: then there is nothing to give back.
    }
  }
}
