/**
 * prepare-backup and cleanup-backup: disks as sparse raw files `disk.<n>.0` in the backup directory of the VM, where
 * OpenNebula's backup drivers pick them up, with the rights of the user oned runs as; nobody else can read them. The disk of
 * a running VM is read through a temporary snapshot.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { CxmError } from '../../errors.ts';
import type { LogicalVolume } from '../../lvm/report.ts';
import type { Operation, OperationContext } from '../operation.ts';
import { asOwner, removeDirectory } from '../owner.ts';
import { absolutePath, flag, longText, numbers, wholeNumber } from '../parameters.ts';
import { parseCloud, requireDisk, whileActive, type DiskParameters } from './disk.ts';
import { withSnapshot } from './send-disk.ts';

const ownersOnly = 0o600;

interface Backup {
  readonly disks: readonly DiskParameters[];
  readonly directory: string;
  readonly document: string;
  readonly live: boolean;
}

export const prepareBackup: Operation<Backup, object> = {
  name: 'prepare-backup',
  parse(parameters) {
    const vmId = wholeNumber(parameters, 'vmId');
    const directory = absolutePath(parameters, 'directory');
    const cloud = parseCloud(parameters);
    const disks = numbers(parameters, 'diskIds').map((diskId) => {
      return { vmId, diskId, cloud, link: `${directory}/disk.${diskId}`, imageId: undefined, persistent: false };
    });
    const document = longText(parameters, 'document', 512 * 1024);
    return { disks, directory, live: flag(parameters, 'live'), document };
  },
  async run(context, { disks, directory, document, live }) {
    const backup = `${directory}/backup`;
    removeDirectory(context.owner, backup);
    asOwner(context.owner, () => {
      mkdirSync(directory, { recursive: true });
      mkdirSync(backup, { mode: 0o700 });
      writeFileSync(`${backup}/vm.xml`, document, { mode: ownersOnly });
    });
    try {
      for (const disk of disks) await dumpDisk(context, disk, `${backup}/disk.${disk.diskId}.0`, live);
    } catch (error) {
      removeDirectory(context.owner, backup);
      throw error;
    }
    return {};
  },
};

export const cleanupBackup: Operation<{ readonly directory: string }, object> = {
  name: 'cleanup-backup',
  parse(parameters) {
    const directory = absolutePath(parameters, 'directory');
    const vmId = wholeNumber(parameters, 'vmId');
    if (directory.endsWith(`/${vmId}`)) return { directory };
    throw new CxmError('INVALID_INPUT', `parameter directory is ${directory}, but must end in /${vmId}`);
  },
  run(context, { directory }) {
    removeDirectory(context.owner, `${directory}/backup`);
    return Promise.resolve({});
  },
};

async function dumpDisk(context: OperationContext, disk: DiskParameters, file: string, live: boolean): Promise<void> {
  const found = await requireDisk(context, disk);
  await whileActive(context, found, (volume) => {
    if (!volume.open) return copyToFile(context, volume, file);
    if (live) return withSnapshot(context, { volume, vmId: disk.vmId }, (copy) => copyToFile(context, copy, file));
    throw new CxmError('IN_USE', `${volume.path} is in use by a running VM`);
  });
}

/** The file is written by a process with the owner's rights; only the device is opened by root. */
function copyToFile(context: OperationContext, volume: LogicalVolume, file: string): Promise<void> {
  asOwner(context.owner, () => closeSync(openSync(file, 'wx', ownersOnly)));
  const device = openSync(volume.path, 'r');
  const rights = process.geteuid?.() === 0 ? { uid: context.owner.uid, gid: context.owner.gid } : {};
  const child = spawn('dd', [`of=${file}`, 'bs=1M', 'conv=sparse,fsync', 'status=none'], {
    stdio: [device, 'ignore', 'pipe'],
    signal: context.signal,
    ...rights,
  });
  closeSync(device);
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString().slice(0, 1000)));
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new CxmError('IO', `dd: ${cause.message}`, { cause })));
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new CxmError('IO', `${file} could not be written: ${said.trim()}`));
    });
  });
}
