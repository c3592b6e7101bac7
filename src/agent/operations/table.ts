/** Every operation that the helper knows. */
import type { Operation } from '../operation.ts';
import { activateDisks, deactivateDisks } from './activate-disks.ts';
import { cleanupBackup, prepareBackup } from './backup.ts';
import { deleteDirectory, deleteDisk } from './delete.ts';
import { directoryDestination, directorySource } from './directory.ts';
import { domainOperations } from './domain-operations.ts';
import { createSnapshot, deleteSnapshot, revertSnapshot } from './disk-snapshots.ts';
import { deleteFile, receiveFile } from './file.ts';
import { monitor } from './monitor.ts';
import { moveDestination, moveSource, relinkDisk } from './move-disk.ts';
import { createDisk, receiveDisk } from './receive-disk.ts';
import { capacity, resizeDisk } from './resize-disk.ts';
import { sendDisk } from './send-disk.ts';

export const operations = [
  receiveDisk,
  createDisk,
  sendDisk,
  deleteDisk,
  deleteDirectory,
  moveSource,
  moveDestination,
  relinkDisk,
  activateDisks,
  deactivateDisks,
  createSnapshot,
  revertSnapshot,
  deleteSnapshot,
  resizeDisk,
  capacity,
  directorySource,
  directoryDestination,
  receiveFile,
  deleteFile,
  prepareBackup,
  cleanupBackup,
  ...domainOperations,
  monitor,
] as readonly Operation[];
