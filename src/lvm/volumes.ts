/**
 * One volume group as the helper works on it. The interface has two bodies: LVM here, files in a directory in the
 * sandbox.
 *
 * Obligation of the caller: methods marked *metadata* change the group's metadata on disk and must run under the
 * lock of the group (unless lvmlockd guards it): LVM alone loses concurrent updates from two hosts.
 */
import type { LogicalVolume, VolumeGroupInfo } from './report.ts';

export interface NewVolume {
  readonly name: string;
  /** Rounded up to whole extents. */
  readonly sizeBytes: number;
  readonly tags: readonly string[];
}

/** How a volume is activated: `shared` only for the time of a live migration, when two hosts need it. */
export type ActivationMode = 'exclusive' | 'shared';

export interface Volumes {
  info(): Promise<VolumeGroupInfo>;
  list(): Promise<LogicalVolume[]>;
  find(name: string): Promise<LogicalVolume | undefined>;
  /** @throws CxmError NOT_FOUND */
  require(name: string): Promise<LogicalVolume>;

  /**
   * *metadata*. A new, active volume; its content is undefined: the caller zeroes or overwrites all of it.
   * @throws CxmError NO_SPACE before anything is changed
   */
  create(volume: NewVolume): Promise<void>;
  /** *metadata*. Deactivates and removes; absence is success. @throws CxmError IN_USE */
  remove(name: string): Promise<void>;
  /**
   * *metadata*. Grows by the extents of another volume, with what they hold; the other one is gone. The only way to grow: what
   * lies in free extents belongs to former tenants.
   */
  absorb(name: string, other: string): Promise<LogicalVolume>;
  /** *metadata*. A copy-on-write snapshot with room for `sizeBytes` of changes. */
  snapshot(origin: string, name: string, sizeBytes: number, tags: readonly string[]): Promise<void>;
  /** *metadata*. */
  changeTags(
    name: string,
    change: { readonly add?: readonly string[]; readonly remove?: readonly string[] },
  ): Promise<void>;

  /** Makes the device usable on this host, with its current extents. Idempotent. */
  activate(name: string, mode: ActivationMode): Promise<LogicalVolume>;
  /** Idempotent; absence is success. @throws CxmError IN_USE if it is open */
  deactivate(name: string): Promise<void>;

  /** Makes a part of an active volume read as zeros; the storage's own way where it has one. */
  zero(volume: LogicalVolume, offsetBytes: number, lengthBytes: number): Promise<void>;
  /** Tells the storage that the data is not needed any more; no error if it can't. */
  discard(volume: LogicalVolume): Promise<void>;
}
