/**
 * The heartbeat disk as the daemon has it: orders go to a thread and come back as promises.
 *
 * Guarantees: an order to a disk that hangs keeps nothing else from going on; its promise is settled when the storage has
 * answered, however late, so that nobody takes a write for over that may still be queued. Orders are carried out one after
 * the other, as they were given.
 */
import { Worker } from 'node:worker_threads';
import { CxmError, errorCodes, type ErrorCode } from '../../errors.ts';
import type { Lease, Read, Slot } from '../protocol/blocks.ts';
import type { DiskAnswer, DiskOrder, DiskWorkerData } from './disk-worker.ts';
import type { DiskContents } from './heartbeat-disk.ts';
import { slotCount } from './format.ts';

interface Waiting {
  resolve(answer: DiskAnswer): void;
  reject(error: CxmError): void;
}

export interface DiskThreadOptions extends DiskWorkerData {
  /** Text of the thread's program. */
  readonly program: string;
}

export class DiskThread {
  private readonly waiting: Waiting[] = [];
  private readonly slots: Read<Slot>[] = new Array<Read<Slot>>(slotCount).fill('empty');
  private ended: CxmError | undefined;
  private onEnded: (error: CxmError) => void = () => undefined;

  private constructor(
    private readonly worker: Worker,
    readonly path: string,
  ) {}

  /** @throws CxmError CONFIG, IO, NOT_FOUND; TIMEOUT when the storage does not answer */
  static async open(options: DiskThreadOptions, timeoutMs: number): Promise<{ disk: DiskThread; diskId: string }> {
    const { program, path, cluster } = options;
    const workerData: DiskWorkerData = { path, cluster };
    const worker = new Worker(program, { eval: true, workerData, resourceLimits: { maxOldGenerationSizeMb: 32 } });
    const disk = new DiskThread(worker, path);
    worker.on('message', (answer: DiskAnswer) => disk.answered(answer));
    worker.on('error', (error) => disk.end(error));
    worker.on('exit', () => disk.end(new Error('it has ended')));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new CxmError('TIMEOUT', `${path} does not answer within ${timeoutMs} ms: the SAN hangs`);
      timer = setTimeout(() => reject(error), timeoutMs);
    });
    const answer = await Promise.race([disk.expectAnswer(), late]).finally(() => clearTimeout(timer));
    if (answer.kind !== 'open') throw new CxmError('INTERNAL', 'the disk thread spoke out of turn');
    return { disk, diskId: answer.diskId };
  }

  /** @throws CxmError IO */
  async read(): Promise<DiskContents> {
    const answer = await this.order({ kind: 'read' });
    const news = answer.kind === 'done' ? answer.news : undefined;
    if (news === undefined) throw new CxmError('INTERNAL', 'the disk thread has read nothing');
    for (const [index, slot] of news.slots) this.slots[index] = slot;
    return { lease: news.lease, slots: [...this.slots] };
  }

  /** @throws CxmError IO; it may still reach the disk then */
  async writeSlot(slot: Slot): Promise<void> {
    await this.order({ kind: 'write-slot', slot });
  }

  /**
   * Writes the slot of another node over its damaged one.
   * @param notAfterMs of the boot clock: later it is not begun
   * @throws CxmError REFUSED when nothing was written; IO, it may still reach the disk then
   */
  async mendSlot(slot: Slot, notAfterMs: number): Promise<void> {
    await this.order({ kind: 'mend-slot', slot, notAfterMs });
  }

  /** @throws CxmError IO; it may still reach the disk then */
  async writeLease(lease: Lease): Promise<void> {
    await this.order({ kind: 'write-lease', lease });
  }

  /** Calls back when the thread has ended without being told to. */
  onEnd(callback: (error: CxmError) => void): void {
    this.onEnded = callback;
  }

  /** Resolves to false if the thread waits for the storage yet: then it can't be ended by anybody. */
  async close(timeoutMs: number): Promise<boolean> {
    this.onEnded = () => undefined;
    const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), timeoutMs));
    return Promise.race([this.worker.terminate().then(() => true), late]);
  }

  private order(order: DiskOrder): Promise<DiskAnswer> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    const answer = this.expectAnswer();
    this.worker.postMessage(order);
    return answer;
  }

  private expectAnswer(): Promise<DiskAnswer> {
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  private answered(answer: DiskAnswer): void {
    const waiting = this.waiting.shift();
    if (answer.kind !== 'failed') return waiting?.resolve(answer);
    const code = (Object.hasOwn(errorCodes, answer.code) ? answer.code : 'IO') as ErrorCode;
    waiting?.reject(new CxmError(code, answer.message, { hint: answer.hint }));
  }

  /** Nobody answers any more. */
  private end(cause: Error): void {
    if (this.ended === undefined) {
      this.ended = new CxmError('IO', `the thread of ${this.path}: ${cause.message}`, { cause });
      this.onEnded(this.ended);
    }
    for (const { reject } of this.waiting.splice(0)) reject(this.ended);
  }
}
