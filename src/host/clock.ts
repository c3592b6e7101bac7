/** Time as an effect: whoever waits or has a deadline gets a clock, so that tests and simulations have their own. */
export interface Clock {
  /** Milliseconds from any fixed point, never going back. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};
