/**
 * The journal: what was decided, and on what evidence, for `cxmd_ctl --why`. Lines of JSON in STATE_DIR, two files of
 * bounded size, so that the last few thousand decisions survive a restart of the daemon and of the machine.
 *
 * Guarantees: it decides nothing and keeps nothing from being done: what can't be written is told once and kept in memory.
 * A line that was cut by a crash is left out.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Why } from '../protocol/parts.ts';

/** `at` is the wall clock, for people. */
export interface JournalEntry {
  readonly at: string;
  readonly epoch: number;
  readonly subject: string;
  readonly decision: string;
  readonly evidence: string;
}

const maxFileBytes = 1024 * 1024;
const maxKept = 5000;

export function entryOf({ wallMs, epoch, subject, decision, evidence }: Why): JournalEntry {
  return { at: new Date(wallMs).toISOString(), epoch, subject, decision, evidence };
}

export class Journal {
  private readonly kept: JournalEntry[] = [];
  private readonly watchers = new Set<(entry: JournalEntry) => void>();
  private readonly file: string;
  private isBroken = false;

  /** @param failed is told when it can't be written, once until it can again */
  constructor(
    directory: string,
    private readonly failed: (reason: string) => void,
  ) {
    this.file = join(directory, 'journal');
    try {
      fs.mkdirSync(directory, { recursive: true, mode: 0o750 });
    } catch (error) {
      this.tell(error);
    }
    for (const file of [`${this.file}.1`, this.file]) this.kept.push(...readEntries(file));
    this.trim();
  }

  add(entry: JournalEntry): void {
    this.kept.push(entry);
    this.trim();
    try {
      this.rotate();
      fs.appendFileSync(this.file, `${JSON.stringify(entry)}\n`, { mode: 0o640 });
      this.isBroken = false;
    } catch (error) {
      this.tell(error);
    }
    for (const watcher of this.watchers) watcher(entry);
  }

  /** The latest ones, in their order: about a node or VM, or all. Those of which the evidence names it are about it, too. */
  about(subject: string | undefined, limit: number): readonly JournalEntry[] {
    const words = (text: string): readonly string[] => text.split(/[\s,:;()]+/);
    const found =
      subject === undefined
        ? this.kept
        : this.kept.filter((entry) => {
            return words(`${entry.subject} ${entry.decision} ${entry.evidence}`).includes(subject);
          });
    return found.slice(-limit);
  }

  /** @returns what ends it */
  watch(watcher: (entry: JournalEntry) => void): () => void {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  private rotate(): void {
    const { size } = fs.statSync(this.file, { throwIfNoEntry: false }) ?? { size: 0 };
    if (size > maxFileBytes) fs.renameSync(this.file, `${this.file}.1`);
  }

  private trim(): void {
    if (this.kept.length > maxKept) this.kept.splice(0, this.kept.length - maxKept);
  }

  private tell(error: unknown): void {
    if (!this.isBroken) this.failed(error instanceof Error ? error.message : String(error));
    this.isBroken = true;
  }
}

function readEntries(file: string): readonly JournalEntry[] {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      const entry = JSON.parse(line) as Record<string, unknown>;
      const { at, epoch, subject, decision, evidence } = entry;
      const isWhole = [at, subject, decision, evidence].every((one) => typeof one === 'string');
      return isWhole && typeof epoch === 'number' ? [entry as unknown as JournalEntry] : [];
    } catch {
      return [];
    }
  });
}
