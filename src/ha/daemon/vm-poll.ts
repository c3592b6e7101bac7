/**
 * Which VMs run here: asked each second, and whenever somebody wants to know.
 *
 * Guarantees: a list that was wanted is sampled after that; lists arrive in the order in which they were sampled; one
 * question is under way at a time, however slow the toolstack is.
 */
import type { BootClock } from '../effects/boot-clock.ts';
import type { DomainNames, Hypervisor } from '../effects/hypervisor.ts';

const periodMs = 1000;

export interface VmPollEvents {
  /** After every `look`, and when another list than before was found. */
  listed(found: DomainNames, sampledMs: number): void;
  /** Of every question: the error, or undefined. */
  outcome(error: unknown): void;
}

export class VmPoll {
  private timer: NodeJS.Timeout | undefined;
  private isAsking = false;
  private isWanted = false;
  private last: string | undefined;

  constructor(
    private readonly hypervisor: Pick<Hypervisor, 'list'>,
    private readonly clock: BootClock,
    private readonly events: VmPollEvents,
  ) {}

  start(): void {
    this.timer = setInterval(() => {
      if (!this.isAsking) this.ask();
    }, periodMs);
  }

  end(): void {
    clearInterval(this.timer);
  }

  /** A fresh list is wanted. */
  look(): void {
    this.isWanted = true;
    if (!this.isAsking) this.ask();
  }

  private ask(): void {
    this.isAsking = true;
    const wasWanted = this.isWanted;
    this.isWanted = false;
    const sampledMs = this.clock();
    this.hypervisor.list().then(
      ({ vms, others }) => {
        this.isAsking = false;
        this.events.outcome(undefined);
        const sorted = [...new Set(vms)].sort();
        const found = [others, ...sorted].join('\n');
        const isNew = found !== this.last;
        this.last = found;
        if (wasWanted || isNew) this.events.listed({ vms: sorted, others }, sampledMs);
        if (this.isWanted) this.ask();
      },
      (error: unknown) => {
        this.isAsking = false;
        // Asked again with the next poll: whoever waits needs an answer, not a repetition without a pause.
        this.isWanted ||= wasWanted;
        this.events.outcome(error);
      },
    );
  }
}
