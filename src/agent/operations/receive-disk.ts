/**
 * receive-disk: a new disk from what the action sends (clone, ln, mv from the frontend, context).
 * create-disk: a new disk with nothing on it but zeros, a file system or swap space (mkimage, mkswap).
 */
import { CxmError } from '../../errors.ts';
import type { Operation } from '../operation.ts';
import { choice, flag, wholeNumber } from '../parameters.ts';
import { buildDisk, parseDisk, type DiskParameters } from './disk.ts';
import {
  fillVolume,
  makeFileSystem,
  parseContent,
  parseFileSystem,
  type Content,
  type FileSystemParameters,
} from './fill.ts';

interface ReceiveDisk {
  readonly disk: DiskParameters;
  readonly sizeBytes: number;
  /** Overwrite a disk that is there, as the context image of a running VM. */
  readonly inPlace: boolean;
  /** Leave a persistent disk as it is that an earlier run has brought. */
  readonly keepPersistent: boolean;
  readonly content: Content;
}

export interface DiskResult {
  readonly path: string;
  readonly sizeBytes: number;
}

export const receiveDisk: Operation<ReceiveDisk, DiskResult> = {
  name: 'receive-disk',
  parse: (parameters) => ({
    disk: parseDisk(parameters),
    sizeBytes: wholeNumber(parameters, 'sizeBytes', 1),
    inPlace: flag(parameters, 'inPlace'),
    keepPersistent: flag(parameters, 'keepPersistent'),
    content: parseContent(parameters),
  }),
  async run(context, { disk, content, ...how }) {
    if (how.inPlace && content.landing === 'archive') {
      throw new CxmError('INVALID_INPUT', 'an archive is never unpacked over a disk that is there');
    }
    const volume = await buildDisk(context, disk, how, async (fresh) => {
      await context.ready({ path: fresh.path, sizeBytes: fresh.sizeBytes });
      await fillVolume(context, fresh, content);
    });
    return { path: volume.path, sizeBytes: volume.sizeBytes };
  },
};

interface CreateDisk {
  readonly disk: DiskParameters;
  readonly sizeBytes: number;
  readonly use: 'zeros' | 'swap' | FileSystemParameters;
}

export const createDisk: Operation<CreateDisk, DiskResult> = {
  name: 'create-disk',
  parse(parameters) {
    const use = choice(parameters, 'use', ['zeros', 'swap', 'filesystem']);
    return {
      disk: parseDisk(parameters),
      sizeBytes: wholeNumber(parameters, 'sizeBytes', 1),
      use: use === 'filesystem' ? parseFileSystem(parameters) : use,
    };
  },
  async run(context, { disk, sizeBytes, use }) {
    const volume = await buildDisk(context, disk, { sizeBytes }, async (fresh) => {
      if (typeof use === 'object') return makeFileSystem(context, fresh, use);
      await context.volumes.zero(fresh, 0, fresh.sizeBytes);
      if (use === 'swap') await context.fileSystems.makeSwap(fresh.path);
    });
    return { path: volume.path, sizeBytes: volume.sizeBytes };
  },
};
