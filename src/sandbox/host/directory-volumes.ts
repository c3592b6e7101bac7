/**
 * A volume group as files in a directory: the second body of `Volumes`. A volume is a sparse file; it is active on a node
 * while a hard link to it stands in that node's /dev, so a node that has not activated a volume can't open it, and who
 * holds it open can be told node by node. Sizes are whole extents and a full group says so, as LVM does.
 */
import { existsSync, linkSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CxmError } from '../../errors.ts';
import type { Commands } from '../../host/commands.ts';
import type { LogicalVolume, VolumeGroupInfo } from '../../lvm/report.ts';
import type { NewVolume, Volumes } from '../../lvm/volumes.ts';
import { changeGroup, lvmUuid, readGroup, usedBytes, type GroupRecord, type VolumeRecord } from './group-file.ts';
import { openPaths } from './open-files.ts';

export interface DirectoryGroup {
  readonly name: string;
  /** Where the files are; all nodes of a SAN have the same. */
  readonly directory: string;
  /** The node's own /dev, on the same file system. */
  readonly devices: string;
}

export class DirectoryVolumes implements Volumes {
  constructor(
    private readonly commands: Commands,
    private readonly group: DirectoryGroup,
  ) {}

  info(): Promise<VolumeGroupInfo> {
    return attempt(() => {
      const { name, uuid, sizeBytes, extentBytes, volumes } = this.read();
      const freeBytes = sizeBytes - usedBytes(new Map(Object.entries(volumes)));
      return { name, uuid, sizeBytes, freeBytes, extentBytes, lockType: '' };
    });
  }

  list(): Promise<LogicalVolume[]> {
    return attempt(() => {
      const records = Object.entries(this.read().volumes);
      const open = openPaths(records.map(([name]) => this.device(name)));
      return records.map(([name, record]) => {
        const path = this.device(name);
        const { uuid, sizeBytes, tags, origin } = record;
        return { name, uuid, sizeBytes, tags, origin, path, active: existsSync(path), open: open.has(path) };
      });
    });
  }

  async find(name: string): Promise<LogicalVolume | undefined> {
    return (await this.list()).find((volume) => volume.name === name);
  }

  async require(name: string): Promise<LogicalVolume> {
    const volume = await this.find(name);
    if (volume !== undefined) return volume;
    throw new CxmError('NOT_FOUND', `there is no logical volume ${this.group.name}/${name}`);
  }

  create({ name, sizeBytes, tags }: NewVolume): Promise<void> {
    return attempt(() =>
      this.add(name, sizeBytes, { tags, origin: '', sizeBytes }, (file, length) => {
        writeFileSync(file, '', { flag: 'wx', mode: 0o600 });
        truncateSync(file, length);
      }),
    );
  }

  async remove(name: string): Promise<void> {
    if ((await this.find(name)) === undefined) return;
    await this.deactivate(name);
    changeGroup(this.group.directory, (volumes) => {
      const snapshot = [...volumes].find(([, { origin }]) => origin === name)?.[0];
      if (snapshot !== undefined) throw new CxmError('LVM', `${name} has the snapshot ${snapshot}`);
      volumes.delete(name);
      rmSync(this.file(name), { force: true });
    });
  }

  async extend(name: string, sizeBytes: number): Promise<LogicalVolume> {
    changeGroup(this.group.directory, (volumes, group) => {
      const record = this.recordOf(volumes, name);
      const length = wholeExtents(sizeBytes, group);
      if (length <= record.sizeBytes) return;
      this.requireSpace(volumes, group, length - record.sizeBytes, name);
      truncateSync(this.file(name), length);
      volumes.set(name, { ...record, sizeBytes: length, roomBytes: length });
    });
    return this.require(name);
  }

  /** What is added to a file reads as zeros, as all that is absorbed does here. */
  async absorb(name: string, other: string): Promise<LogicalVolume> {
    const [volume, { sizeBytes }] = [await this.require(name), await this.require(other)];
    await this.remove(other);
    return this.extend(name, volume.sizeBytes + sizeBytes);
  }

  /** A sparse copy, made at once; only the room for changes counts against the group, as in LVM. */
  async snapshot(origin: string, name: string, sizeBytes: number, tags: readonly string[]): Promise<void> {
    const source = await this.require(origin);
    const copy = join(this.group.directory, `.${name}.${process.pid}.copy`);
    try {
      await this.commands.run('cp', ['--sparse=always', '--reflink=auto', '--', this.file(origin), copy]);
      const kind = { tags, origin, sizeBytes: source.sizeBytes };
      this.add(name, sizeBytes, kind, (file) => renameSync(copy, file));
    } finally {
      rmSync(copy, { force: true });
    }
  }

  changeTags(
    name: string,
    { add = [], remove = [] }: { readonly add?: readonly string[]; readonly remove?: readonly string[] },
  ): Promise<void> {
    return attempt(() =>
      changeGroup(this.group.directory, (volumes) => {
        const record = this.recordOf(volumes, name);
        const tags = [...new Set([...record.tags, ...add])].filter((tag) => !remove.includes(tag));
        volumes.set(name, { ...record, tags });
      }),
    );
  }

  async activate(name: string): Promise<LogicalVolume> {
    const volume = await this.require(name);
    if (!volume.active) this.link(name);
    return this.require(name);
  }

  async deactivate(name: string): Promise<void> {
    const volume = await this.find(name);
    if (volume === undefined) return;
    if (volume.open) {
      throw new CxmError('IN_USE', `logical volume ${this.group.name}/${name} is in use on this host`);
    }
    rmSync(this.device(name), { force: true });
  }

  async zero(volume: LogicalVolume, offsetBytes: number, lengthBytes: number): Promise<void> {
    if (lengthBytes <= 0) return;
    const args = ['--punch-hole', '--offset', String(offsetBytes), '--length', String(lengthBytes), volume.path];
    await this.commands.run('fallocate', args);
  }

  async discard(volume: LogicalVolume): Promise<void> {
    await this.zero(volume, 0, volume.sizeBytes).catch(() => undefined);
  }

  private add(
    name: string,
    roomBytes: number,
    { tags, origin, sizeBytes }: Pick<VolumeRecord, 'tags' | 'origin' | 'sizeBytes'>,
    make: (file: string, length: number) => void,
  ): void {
    changeGroup(this.group.directory, (volumes, group) => {
      if (volumes.has(name)) throw new CxmError('LVM', `logical volume ${name} exists in ${group.name} already`);
      const room = wholeExtents(roomBytes, group);
      const length = wholeExtents(sizeBytes, group);
      this.requireSpace(volumes, group, room, name);
      try {
        make(this.file(name), length);
        this.link(name);
      } catch (error) {
        rmSync(this.file(name), { force: true });
        throw error;
      }
      volumes.set(name, { uuid: lvmUuid(), sizeBytes: length, roomBytes: room, tags: [...tags], origin });
    });
  }

  private requireSpace(
    volumes: ReadonlyMap<string, VolumeRecord>,
    group: GroupRecord,
    bytes: number,
    name: string,
  ): void {
    const free = group.sizeBytes - usedBytes(volumes);
    if (bytes <= free) return;
    throw new CxmError(
      'NO_SPACE',
      `volume group ${group.name} has no room: ${bytes} bytes for ${name}, but only ${free} are free`,
    );
  }

  private recordOf(volumes: ReadonlyMap<string, VolumeRecord>, name: string): VolumeRecord {
    const record = volumes.get(name);
    if (record !== undefined) return record;
    throw new CxmError('NOT_FOUND', `there is no logical volume ${this.group.name}/${name}`);
  }

  private read(): GroupRecord {
    const group = readGroup(this.group.directory);
    if (group.name === this.group.name) return group;
    throw new CxmError('LVM', `volume group ${this.group.name} is not visible on this host`, {
      hint: 'check VG_NAME in cxmrc',
    });
  }

  private file(name: string): string {
    return join(this.group.directory, name);
  }

  private device(name: string): string {
    return join(this.group.devices, this.group.name, name);
  }

  private link(name: string): void {
    mkdirSync(dirname(this.device(name)), { recursive: true });
    rmSync(this.device(name), { force: true });
    linkSync(this.file(name), this.device(name));
  }
}

function wholeExtents(bytes: number, { extentBytes }: GroupRecord): number {
  return Math.max(1, Math.ceil(bytes / extentBytes)) * extentBytes;
}

/** Synchronous work as a promise; what it throws is a rejection. */
function attempt<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(work()));
}
