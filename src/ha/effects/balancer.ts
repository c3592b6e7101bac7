/** Balancing without a person, as the daemon asks for it: the body is over src/cluster. */

export interface BalanceRound {
  /** Nodes that are alive, this one among them: nobody else is asked. */
  readonly nodes: readonly string[];
  /** Those of them that are in maintenance: they get no VM. */
  readonly maintenance: readonly string[];
  /** Looked at before each migration, and immediately before it can't be taken back: why not to go on, if so. */
  obstacle(): string | undefined;
  tell(text: string): void;
}

export interface Balancer {
  /**
   * Looks at the load and, when it has been uneven for long enough, migrates what a plan says, one VM after the other. What
   * it has seen is kept for the next round. Never throws.
   */
  round(round: BalanceRound): Promise<void>;
}
