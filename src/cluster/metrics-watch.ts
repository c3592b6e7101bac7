/**
 * Readings again and again. Each node is asked by itself and never twice at a time, so that one that hangs delays no other
 * and gathers no heap of runs. The last readings of each are kept: rates count from the one before, CPU time from one that
 * is old enough to be exact.
 */
import { asCxmError, CxmError } from '../errors.ts';
import type { Clock } from '../host/clock.ts';
import { areConsecutive, ratesBetween, type NodeRates } from './metrics.ts';
import { readNode, type MeasuredNode, type NodeReading, type ReadingParts } from './metrics-read.ts';

export interface WatchedNode {
  readonly node: string;
  /** The last one there is, however old. */
  readonly reading: NodeReading | undefined;
  /** Between the last two readings; undefined until there are two of one start of the node. */
  readonly rates: NodeRates | undefined;
  /** Why nothing is known of it now; undefined while it answers, or may still answer for the first time. */
  readonly silence: { readonly error: CxmError; readonly lastAnswerMs: number | undefined } | undefined;
}

interface Memory {
  /** Of one start of the node, the oldest first. */
  readings: readonly NodeReading[];
  answeredAt: number | undefined;
  askedAt: number | undefined;
  error: CxmError | undefined;
}

/** xl counts tenths of a second: so much time makes them 1 %. */
const exactSeconds = 10;
/** Which devices groups are on seldom changes, and LVM reads its disks to say it. */
const volumesSeconds = 60;

export type ReadNode = (node: MeasuredNode, asked: ReadingParts) => Promise<NodeReading>;

export class ClusterWatch {
  private readonly memories: ReadonlyMap<string, Memory>;
  private readonly volumesSince = new Map<string, number>();

  constructor(
    private readonly nodes: readonly MeasuredNode[],
    private readonly asked: ReadingParts,
    private readonly clock: Clock,
    private readonly read: ReadNode = readNode,
  ) {
    const fresh = (): Memory => ({ readings: [], answeredAt: undefined, askedAt: undefined, error: undefined });
    this.memories = new Map(nodes.map(({ name }) => [name, fresh()]));
  }

  /** Asks each node that is not being asked already. Settles when these have answered or failed; never fails itself. */
  async poll(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.ask(node)));
  }

  /** @param graceMs after so long without an answer a node counts as silent */
  look(graceMs: number): readonly WatchedNode[] {
    return this.nodes.map(({ name }) => {
      const memory = this.memoryOf(name);
      const [last, previous] = memory.readings.toReversed();
      return {
        node: name,
        reading: last,
        rates: last && previous && ratesBetween(previous, last, memory.readings[0]),
        silence: this.silenceOf(memory, graceMs),
      };
    });
  }

  private silenceOf(memory: Memory, graceMs: number): WatchedNode['silence'] {
    const now = this.clock.now();
    const lastAnswerMs = memory.answeredAt === undefined ? undefined : now - memory.answeredAt;
    if (memory.error !== undefined) return { error: memory.error, lastAnswerMs };
    const waitedMs = memory.askedAt === undefined ? 0 : now - memory.askedAt;
    if (waitedMs < graceMs) return undefined;
    return { error: new CxmError('TIMEOUT', `no answer for ${Math.round(waitedMs / 1000)} s`), lastAnswerMs };
  }

  private async ask(node: MeasuredNode): Promise<void> {
    const memory = this.memoryOf(node.name);
    if (memory.askedAt !== undefined) return;
    memory.askedAt = this.clock.now();
    try {
      const reading = this.withVolumes(await this.read(node, this.partsFor(node.name)), memory.readings.at(-1));
      memory.readings = remember(memory.readings, reading);
      memory.answeredAt = this.clock.now();
      memory.error = undefined;
    } catch (error) {
      memory.error = asCxmError(error);
    } finally {
      memory.askedAt = undefined;
    }
  }

  private partsFor(node: string): ReadingParts {
    const since = this.volumesSince.get(node);
    const old = since === undefined || this.clock.now() - since >= volumesSeconds * 1000;
    return { ...this.asked, physicalVolumes: this.asked.physicalVolumes && old };
  }

  private withVolumes(reading: NodeReading, before: NodeReading | undefined): NodeReading {
    if (reading.physicalVolumes !== undefined) this.volumesSince.set(reading.node, this.clock.now());
    return { ...reading, physicalVolumes: reading.physicalVolumes ?? before?.physicalVolumes };
  }

  private memoryOf(node: string): Memory {
    const memory = this.memories.get(node);
    if (memory === undefined) throw new CxmError('INTERNAL', `${node} is not watched`);
    return memory;
  }
}

/** The readings with one more, without those that no rate counts from any more: one of the exact age is enough. */
function remember(readings: readonly NodeReading[], reading: NodeReading): readonly NodeReading[] {
  const past = readings.filter((candidate) => areConsecutive(candidate, reading));
  const oldEnough = past.findLastIndex(({ uptimeSeconds }) => reading.uptimeSeconds - uptimeSeconds >= exactSeconds);
  return [...past.slice(Math.max(0, oldEnough)), reading];
}
