/**
 * The journal: what was decided, and on what evidence, for `cxmd_ctl --why`. Lines of JSON in STATE_DIR, two files of
 * bounded size, so that the last few thousand decisions survive a restart of the daemon and of the machine.
 *
 * Guarantees: it decides nothing and keeps nothing from being done: a local disk that hangs stops no heartbeat, and what
 * can't be written is told once and kept in memory. A line that was cut by a crash is left out.
 */
import * as fs from 'node:fs';
import { appendFile, rename, stat } from 'node:fs/promises';
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
  private readonly unwritten: JournalEntry[] = [];
  private writing: Promise<void> | undefined;

  /** @param failed is told when it can't be written, once until it can again */
  constructor(
    directory: string,
    private readonly failed: (reason: string) => void,
  ) {
    this.file = join(directory, 'journal');
    try {
      // Not with its parents: Node never comes back from a directory in which the kernel lets nobody make any.
      if (!fs.existsSync(directory)) fs.mkdirSync(directory, { mode: 0o750 });
    } catch (error) {
      this.tell(error);
    }
    for (const file of [`${this.file}.1`, this.file]) this.kept.push(...readEntries(file));
    this.trim();
  }

  add(entry: JournalEntry): void {
    this.kept.push(entry);
    this.trim();
    if (this.unwritten.length < maxKept) this.unwritten.push(entry);
    this.writing ??= this.write().finally(() => (this.writing = undefined));
    for (const watcher of this.watchers) watcher(entry);
  }

  /** What was added is in the file, or can't be. */
  async flush(): Promise<void> {
    await this.writing;
  }

  /** The latest ones, in their order: about a node or VM, or all. Those of which the evidence names it are about it, too. */
  about(subject: string | undefined, limit: number): readonly JournalEntry[] {
    const words = (text: string): readonly string[] => text.split(/[\s,:;()]+/);
    const found =
      subject === undefined
        ? this.kept
        : this.kept.filter((entry) => {
            if (entry.subject === subject) return true;
            return words(`${entry.subject} ${entry.decision} ${entry.evidence}`).includes(subject);
          });
    return found.slice(-limit);
  }

  /** @returns what ends it */
  watch(watcher: (entry: JournalEntry) => void): () => void {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  private async write(): Promise<void> {
    // What comes while it is written goes with the next piece.
    while (this.unwritten.length > 0) {
      const lines = this.unwritten.splice(0).map((entry) => `${JSON.stringify(entry)}\n`);
      try {
        const { size } = await stat(this.file).catch(() => ({ size: 0 }));
        if (size > maxFileBytes) await rename(this.file, `${this.file}.1`);
        await appendFile(this.file, lines.join(''), { mode: 0o640 });
        this.isBroken = false;
      } catch (error) {
        this.tell(error);
      }
    }
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
