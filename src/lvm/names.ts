/**
 * Names and tags of the volumes of VMs. A disk is `<LV_PREFIX>-<VM id>-<disk id>`, one of its snapshots
 * `<disk>_snap<id>`; the tags say whose it is, so that nothing of somebody else is ever touched because of its name.
 */

/** Marks a volume whose content is not complete; what carries it is removed by the next action for that disk. */
export const partialTag = 'cxm_partial';

/**
 * Marks the working copy of a persistent image: until it is saved back, it is the only place where what the VM wrote
 * is kept. It is never overwritten, and never removed without being saved first.
 */
export const persistentTag = 'cxm_persistent';

export interface DiskIdentity {
  readonly vmId: number;
  readonly diskId: number;
  /** Name of the OpenNebula frontend the VM belongs to: two clouds may share a volume group by mistake. */
  readonly cloud: string;
}

export function diskVolumeName(prefix: string, vmId: number, diskId: number): string {
  return `${prefix}-${vmId}-${diskId}`;
}

export function snapshotVolumeName(diskVolume: string, snapshotId: number): string {
  return `${diskVolume}_snap${snapshotId}`;
}

/** The snapshot's id if `name` is a snapshot of `diskVolume`. */
export function snapshotIdOf(name: string, diskVolume: string): number | undefined {
  if (!name.startsWith(`${diskVolume}_snap`)) return undefined;
  const digits = name.slice(diskVolume.length + 5);
  return /^\d{1,9}$/.test(digits) ? Number(digits) : undefined;
}

/** LVM allows letters, digits and _ + . - / = ! : # & in tags. */
function tagSafe(value: string): string {
  return value.replace(/[^A-Za-z0-9_+.-]/g, '_').slice(0, 100);
}

const cloudTag = 'cxm_cloud=';

/** The tags of a disk's volume. */
export function diskTags(disk: DiskIdentity, imageId?: number): string[] {
  const tags = ['cxm', `cxm_vm=${disk.vmId}`, `cxm_disk=${disk.diskId}`, `${cloudTag}${tagSafe(disk.cloud)}`];
  return imageId === undefined ? tags : [...tags, `cxm_image=${imageId}`];
}

/** The image that a volume with these tags is a copy of. */
export function imageIdOf(tags: readonly string[]): number | undefined {
  const id = tags.map((tag) => /^cxm_image=(\d{1,10})$/.exec(tag)?.[1]).find((found) => found !== undefined);
  return id === undefined ? undefined : Number(id);
}

export type Ownership = 'ours' | 'untagged' | 'foreign';

/**
 * Whose volume carries these tags: ours, somebody else's, or nobody's that says so (made by hand or by the drivers of
 * old, which did not tag).
 */
export function ownership(tags: readonly string[], disk: DiskIdentity): Ownership {
  if (!tags.includes('cxm')) return 'untagged';
  return diskTags(disk).every((tag) => tags.includes(tag)) ? 'ours' : 'foreign';
}
