/**
 * How many programs run over one connection at once. sshd allows ten (MaxSessions) unless it is told otherwise; whoever
 * comes later waits here, in order. Nobody waits for longer than he said, and nobody when the connection is lost.
 *
 * sshd counts a session for a moment after its channel is closed, so a refusal may be a matter of that moment: the
 * limit that we learn from one grows again with success.
 */
import { CxmError } from '../errors.ts';

/** Two below sshd's own, for sessions that it has not yet forgotten. */
const defaultLimit = 8;
const opensUntilGrowth = 20;
const maxWaiting = 10_000;

interface Waiter {
  readonly start: () => void;
  readonly fail: (error: CxmError) => void;
}

export class ChannelSlots {
  used = 0;
  private limit = defaultLimit;
  private opened = 0;
  private readonly waiting: Waiter[] = [];

  /** The result gives the place back; calling it again does nothing. @throws CxmError TIMEOUT */
  take(waitMs: number, node: string): Promise<() => void> {
    if (this.used < this.limit && this.waiting.length === 0) return Promise.resolve(this.occupy());
    if (this.waiting.length >= maxWaiting) {
      return Promise.reject(new CxmError('TIMEOUT', `${maxWaiting} programs wait for their turn on ${node}`));
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        const at = this.waiting.indexOf(waiter);
        if (at >= 0) this.waiting.splice(at, 1);
      };
      const waiter: Waiter = {
        start: () => {
          leave();
          resolve(this.occupy());
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      const late = `${node} was busy with ${this.limit} other programs for ${waitMs} ms, and this one was not run`;
      const timer = setTimeout(() => waiter.fail(new CxmError('TIMEOUT', late)), waitMs);
      this.waiting.push(waiter);
    });
  }

  /** The other side allows no more than what is open besides the place that could not be used. */
  reduce(): void {
    this.opened = 0;
    this.limit = Math.max(1, Math.min(this.limit, this.used - 1));
  }

  /** A place was used. */
  grow(): void {
    this.opened = (this.opened + 1) % opensUntilGrowth;
    if (this.opened === 0) this.limit = Math.min(defaultLimit, this.limit + 1);
  }

  /** Nobody gets a place any more. */
  fail(error: CxmError): void {
    for (const waiter of [...this.waiting]) waiter.fail(error);
  }

  private occupy(): () => void {
    this.used += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.used -= 1;
      if (this.used < this.limit) this.waiting[0]?.start();
    };
  }
}
