/**
 * A node of the cluster as the library sees it: the toolstack, the volumes, the configuration files and a few facts, each
 * behind an interface. The real body (node-body.ts) runs programs, here or over a connection; the sandbox and the model of
 * the tests have others. Nothing in here decides anything.
 */
import type { Commands } from '../host/commands.ts';
import type { Inventory } from '../lvm/inventory.ts';
import type { Volumes } from '../lvm/volumes.ts';
import type { Toolstack } from '../xen/toolstack.ts';
import type { NodeFiles } from './node-files.ts';
import type { NodeMoves } from './node-moves.ts';

export type NodeVolumes = Pick<Volumes, 'activate' | 'deactivate' | 'find'>;

export interface ClusterNode {
  readonly name: string;
  readonly toolstack: Toolstack;
  readonly files: NodeFiles;
  readonly system: NodeSystem;
  readonly moves: NodeMoves;
  /** Programs there, for what only looks: readings and diagnosis, which want many facts by one run. */
  readonly programs: Commands;
  inventory(): Promise<Inventory>;
  volumes(group: string): NodeVolumes;
  /**
   * Takes the node's lock for a VM, so that no other cxm works on it, and waits until what an earlier one has begun
   * here (an `xl create` whose cxm was killed) has ended.
   * @throws CxmError IN_USE when somebody else holds it for longer than `waitMs`
   */
  lock(vm: string, waitMs: number): Promise<NodeLock>;
  /** Who has taken its lock of a VM: whether somebody else has worked on the VM since an earlier look. */
  holders(vm: string): Promise<LockHolders>;
  /** The node again, whose toolstack keeps the VM's lock until its programs have ended, even if this cxm is killed. */
  under(vm: string): ClusterNode;
}

/** A word for each time that the lock was taken; empty if it never was. */
export interface LockHolders {
  readonly latest: string;
  /** The one before. */
  readonly former: string;
}

export interface NodeLock {
  /** False once the connection to the node, and so the lock, is lost. */
  readonly held: boolean;
  release(): Promise<void>;
}

export interface NodeSystem {
  /** Names of the network bridges, those of Open vSwitch included. */
  bridges(): Promise<readonly string[]>;
  /** Feature flags of the CPUs, sorted. */
  cpuFlags(): Promise<readonly string[]>;
  /** Dynamic interrupts in use; Xen's guests take some each. */
  dynamicIrqs(): Promise<number>;
  /** Whether a host answers a ping sent from this node. */
  ping(host: string): Promise<'answer' | 'silence' | 'unknown-name'>;
  /** Whether root on this node comes onto another one as xl's migration will. @throws CxmError HOST_UNREACHABLE */
  reach(node: string): Promise<void>;
  /** Starts a program that goes on by itself; what it says goes to syslog. @throws CxmError COMMAND if it can't start */
  startDetached(program: string, args: readonly string[]): Promise<void>;
}
