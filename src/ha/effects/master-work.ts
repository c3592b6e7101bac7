/** What the master does by itself, round by round, while all is well: the bodies are over src/cluster. */

export interface MasterRound {
  /** Nodes that are alive, this one among them: nobody else is asked. */
  readonly nodes: readonly string[];
  /** Those of them that are in maintenance: they get no VM. */
  readonly maintenance: readonly string[];
  /** Looked at before each piece of work, and immediately before it can't be taken back: why not to go on, if so. */
  obstacle(): string | undefined;
  tell(text: string): void;
}

export interface MasterWork {
  /** What it has seen is kept for the next round. Never throws. */
  round(round: MasterRound): Promise<void>;
}
