/**
 * What an operation of the helper is: a name, a check of its parameters at the door, and a function that works with
 * the things that its context hands it. Operations are listed in one table (operations/table.ts).
 */
import type { ClusterGuard } from './cluster-guard.ts';
import type { Cxmrc } from '../config/cxmrc.ts';
import type { Commands } from '../host/commands.ts';
import type { Volumes } from '../lvm/volumes.ts';
import type { FileSystemTools } from '../transfer/filesystem.ts';
import type { ProgramInput } from '../transfer/process.ts';
import type { Extent } from '../transfer/extents.ts';
import type { Incoming } from './frames.ts';

/** The user who called sudo: files in directories of VMs are made with this user's rights, never with root's. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export type Data = Extract<Incoming, { readonly type: 'data' | 'extent' }>;

export interface OperationContext {
  readonly settings: Cxmrc;
  readonly commands: Commands;
  /** In a cluster, of all its nodes: see guardedVolumes. */
  readonly volumes: Volumes;
  /** The other nodes of the cluster, if this host belongs to one. */
  readonly guard: ClusterGuard;
  readonly fileSystems: FileSystemTools;
  readonly owner: Owner;
  /** Directory for locks and pipes, root's own; made when it is missing. */
  readonly runDirectory: string;
  log(severity: 'INFO' | 'DEBUG' | 'WARN', text: string): void;
  /**
   * Runs `change` while the lock of the volume group is held. All hosts wait for it: nothing waits in it.
   * @throws CxmError TIMEOUT if it was not to be had, INTERRUPTED if the action is gone; then `change` was not run
   */
  withMetadataLock<T>(change: () => Promise<T>): Promise<T>;
  /** Asks the action something and waits for the answer. @throws CxmError INTERRUPTED if it is gone */
  ask(topic: 'stored' | 'route', detail?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Says that data may come now, or will. */
  ready(detail?: Readonly<Record<string, unknown>>): Promise<void>;
  /** What the action sends, up to its end. @throws CxmError INTERRUPTED if it stops before its end */
  incoming(): AsyncIterable<Data>;
  /** What the action sends, for a program to read by itself; undefined if it comes in frames: then it is `incoming`. */
  rawInput(): Promise<ProgramInput | undefined>;
  sendData(data: Buffer): Promise<void>;
  sendExtent(extent: Extent): Promise<void>;
  /**
   * Runs `work`, which has a program write data to the descriptor by itself; undefined where that can't be. No program may
   * hold the descriptor when `work` has ended.
   */
  readonly sendRaw: ((work: (descriptor: number) => Promise<void>) => Promise<void>) | undefined;
  sendEnd(): Promise<void>;
  /** Aborted when the action is gone or says so; long work should stop then. */
  readonly signal: AbortSignal;
}

export interface Operation<P = unknown, R = unknown> {
  readonly name: string;
  /** @throws CxmError INVALID_INPUT naming the parameter */
  parse(parameters: Readonly<Record<string, unknown>>): P;
  /** The result, JSON. Whatever fails leaves nothing half-made behind. */
  run(context: OperationContext, parameters: P): Promise<R>;
}
