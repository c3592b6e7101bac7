/**
 * A volume group through LVM's own commands. Every command gets `--yes` and an empty standard input, so that none ever
 * asks; reports are read as JSON.
 *
 * Two things that LVM on a shared disk without a cluster lock leaves to its user are done here: a device mapping that
 * survived the removal of its volume on another host is torn down before the name is used again, and a volume that
 * is already active is refreshed, because another host may have extended it.
 */
import { CxmError } from '../errors.ts';
import type { CommandResult, Commands } from '../host/commands.ts';
import {
  logicalVolumeFields,
  parseLogicalVolumes,
  parseVolumeGroup,
  volumeGroupFields,
  type LogicalVolume,
  type VolumeGroupInfo,
} from './report.ts';
import type { ActivationMode, NewVolume, Volumes } from './volumes.ts';

const report = ['--reportformat', 'json', '--units', 'b', '--nosuffix'];
const commandTimeoutMs = 120_000;
/** A volume zeroes at 20 MB/s at least, or something is wrong. */
const slowestZeroBytesPerMs = 20_000;

export class LvmVolumes implements Volumes {
  constructor(
    private readonly commands: Commands,
    private readonly volumeGroup: string,
    /** False: what is active already is taken as it is, though another host may have changed the volume since. */
    private readonly refreshesActive = true,
  ) {}

  async info(): Promise<VolumeGroupInfo> {
    const result = await this.lvm('vgs', [...report, '-o', volumeGroupFields, this.volumeGroup], 'any');
    const info = result.exitCode === 0 ? parseVolumeGroup(result.stdout) : undefined;
    if (info !== undefined) return info;
    throw new CxmError('LVM', `volume group ${this.volumeGroup} is not visible on this host: ${firstLine(result)}`, {
      hint: 'check VG_NAME in cxmrc (or in /etc/cxm/cxmrc of the host) and `vgs` on the host',
    });
  }

  async list(): Promise<LogicalVolume[]> {
    const result = await this.lvm('lvs', [...report, '-o', logicalVolumeFields, this.volumeGroup], 'any');
    if (result.exitCode !== 0) throw lvmError('lvs', result);
    return parseLogicalVolumes(result.stdout);
  }

  async find(name: string): Promise<LogicalVolume | undefined> {
    return (await this.list()).find((volume) => volume.name === name);
  }

  async create({ name, sizeBytes, tags }: NewVolume): Promise<void> {
    await this.removeStaleMapping(name, undefined);
    const args = [
      '--yes',
      '--wipesignatures',
      'n',
      '--zero',
      'n',
      '--activate',
      'ey',
      '--size',
      sizeArgument(sizeBytes),
    ];
    const tagArgs = tags.flatMap((tag) => ['--addtag', tag]);
    await this.change('lvcreate', [...args, ...tagArgs, '--name', name, this.volumeGroup]);
  }

  async remove(name: string): Promise<void> {
    const volume = await this.find(name);
    if (volume === undefined) return this.removeStaleMapping(name, undefined);
    if (volume.open) throw inUse(this.qualified(name));
    await this.change('lvremove', ['--yes', this.qualified(name)]);
  }

  async absorb(name: string, other: string): Promise<LogicalVolume> {
    const command = ['--noheadings', '-o', 'seg_pe_ranges', this.qualified(other)];
    const result = await this.lvm('lvs', command, 'any');
    const ranges = result.stdout.split(/\s+/).filter((range) => range !== '');
    if (result.exitCode !== 0 || !ranges.every((range) => rangePattern.test(range))) throw lvmError('lvs', result);
    // Nobody else takes the extents in between: metadata is changed under a lock. A discard would undo the zeroing.
    await this.change('lvremove', ['--yes', '--config', 'devices/issue_discards=0', this.qualified(other)]);
    const extents = ranges.map(extentsOf).reduce((sum, count) => sum + count, 0);
    await this.change('lvextend', ['--yes', '--extents', `+${extents}`, this.qualified(name), ...ranges]);
    return this.require(name);
  }

  async snapshot(origin: string, name: string, sizeBytes: number, tags: readonly string[]): Promise<void> {
    await this.removeStaleMapping(name, undefined);
    const tagArgs = tags.flatMap((tag) => ['--addtag', tag]);
    const args = [
      '--yes',
      '--snapshot',
      '--size',
      sizeArgument(sizeBytes),
      ...tagArgs,
      '--name',
      name,
      this.qualified(origin),
    ];
    await this.change('lvcreate', args);
  }

  async changeTags(
    name: string,
    { add = [], remove = [] }: { readonly add?: readonly string[]; readonly remove?: readonly string[] },
  ): Promise<void> {
    const args = [...add.flatMap((tag) => ['--addtag', tag]), ...remove.flatMap((tag) => ['--deltag', tag])];
    if (args.length > 0) await this.change('lvchange', ['--yes', ...args, this.qualified(name)]);
  }

  async activate(name: string, mode: ActivationMode): Promise<LogicalVolume> {
    const volume = await this.require(name);
    await this.removeStaleMapping(name, volume);
    if (volume.active && this.refreshesActive)
      await this.change('lvchange', ['--yes', '--refresh', this.qualified(name)]);
    const how = mode === 'exclusive' ? 'ey' : 'sy';
    await this.change('lvchange', ['--yes', '--activate', how, this.qualified(name)]);
    return { ...volume, active: true };
  }

  async deactivate(name: string): Promise<void> {
    const volume = await this.find(name);
    if (volume === undefined) return this.removeStaleMapping(name, undefined);
    if (volume.open) throw inUse(this.qualified(name));
    if (volume.active) await this.change('lvchange', ['--yes', '--activate', 'n', this.qualified(name)]);
  }

  async zero(volume: LogicalVolume, offsetBytes: number, lengthBytes: number): Promise<void> {
    if (lengthBytes <= 0) return;
    const timeoutMs = commandTimeoutMs + Math.ceil(lengthBytes / slowestZeroBytesPerMs);
    const args = ['--zeroout', '--offset', String(offsetBytes), '--length', String(lengthBytes), volume.path];
    await this.commands.run('blkdiscard', args, { timeoutMs });
  }

  async discard(volume: LogicalVolume): Promise<void> {
    await this.commands.run('blkdiscard', [volume.path], { okExitCodes: 'any', timeoutMs: commandTimeoutMs });
  }

  private qualified(name: string): string {
    return `${this.volumeGroup}/${name}`;
  }

  async require(name: string): Promise<LogicalVolume> {
    const volume = await this.find(name);
    if (volume !== undefined) return volume;
    throw new CxmError('NOT_FOUND', `there is no logical volume ${this.qualified(name)}`);
  }

  /**
   * Removes a device mapping of that name that is not the volume's: its extents may belong to somebody else by now.
   * @param volume what LVM's metadata knows by that name
   */
  private async removeStaleMapping(name: string, volume: LogicalVolume | undefined): Promise<void> {
    const mapping = `${escapeMapping(this.volumeGroup)}-${escapeMapping(name)}`;
    const args = ['info', '--columns', '--noheadings', '--separator', ' ', '-o', 'uuid,open', mapping];
    const { stdout, exitCode } = await this.commands.run('dmsetup', args, { okExitCodes: 'any' });
    if (exitCode !== 0) return;
    const [uuid = '', open = '0'] = stdout.trim().split(' ');
    if (volume !== undefined && uuid.endsWith(volume.uuid.replaceAll('-', ''))) return;
    if (open !== '0') throw inUse(`${this.qualified(name)} (a stale device of a removed volume)`);
    await this.commands.run('dmsetup', ['remove', '--retry', mapping]);
  }

  private async change(command: string, args: readonly string[]): Promise<void> {
    const result = await this.lvm(command, args, 'any');
    if (result.exitCode === 0) return;
    if (/in use|is used by another device|open count/i.test(result.stderr)) {
      throw inUse(args.at(-1) ?? '', new Error(firstLine(result)));
    }
    if (/insufficient (free space|suitable)/i.test(result.stderr)) {
      throw new CxmError('NO_SPACE', `volume group ${this.volumeGroup} has no room: ${firstLine(result)}`);
    }
    throw lvmError(command, result);
  }

  private lvm(command: string, args: readonly string[], okExitCodes: 'any'): Promise<CommandResult> {
    return this.commands.run(command, args, { okExitCodes, timeoutMs: commandTimeoutMs });
  }
}

/** `/dev/sda:100-199`, as LVM reports the extents of a segment and takes them. */
const rangePattern = /^\/dev\/[A-Za-z0-9_.+/:-]+:(\d+)-(\d+)$/;

function extentsOf(range: string): number {
  const [, first, last] = rangePattern.exec(range) ?? [];
  return Number(last) - Number(first) + 1;
}

/** LVM takes whole sectors only, and rounds up to extents itself. */
function sizeArgument(bytes: number): string {
  return `${Math.ceil(bytes / 512) * 512}b`;
}

/** Device mapper writes a hyphen within a name as two. */
function escapeMapping(name: string): string {
  return name.replaceAll('-', '--');
}

function inUse(what: string, cause?: Error): CxmError {
  return new CxmError('IN_USE', `logical volume ${what} is in use on this host`, { cause });
}

/** The first line that is not one of LVM's warnings. */
function firstLine(result: CommandResult): string {
  const lines = result.stderr.split('\n').map((line) => line.trim());
  return lines.find((line) => line !== '' && !/^WARNING/.test(line)) ?? `exit code ${result.exitCode}`;
}

function lvmError(command: string, result: CommandResult): CxmError {
  return new CxmError('LVM', `${command}: ${firstLine(result)}`, { changed: 'maybe' });
}
