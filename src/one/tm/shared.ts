/** What the transfer manager's actions share: which side is the frontend, and the parameters of a disk. */
import { lstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { DiskLocation } from '../arguments/locations.ts';
import type { ActionContext } from '../action.ts';

/** Whether a host name means this machine, the frontend. */
export function isFrontend(context: Pick<ActionContext, 'hostName' | 'config'>, host: string): boolean {
  const own = [context.hostName, 'localhost', ...context.config.FRONTEND_NAMES].map((name) => name.toLowerCase());
  const name = host.toLowerCase();
  return own.includes(name) || own[0]?.split('.')[0] === name || own[0] === name.split('.')[0];
}

/** What stands at a path of the frontend. */
export function localKind(path: string): 'file' | 'directory' | 'link' | 'nothing' {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return 'nothing';
  if (found.isSymbolicLink()) return 'link';
  return found.isDirectory() ? 'directory' : 'file';
}

/** Where a file is written before it gets its name; fixed, so that the next action overwrites what a killed one left. */
export function partialOf(file: string): string {
  return `${file}.cxm-partial`;
}

/** What a file or directory holds survives a loss of power from now on. */
export async function syncToDisk(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The name under which volumes are tagged as ours. */
export function cloudName({ config, hostName }: Pick<ActionContext, 'config' | 'hostName'>): string {
  return config.CLOUD_NAME || hostName.replace(/[^A-Za-z0-9._-]/g, '_') || 'one';
}

/** The helper's parameters that name a disk. */
export function diskParameters(
  context: Pick<ActionContext, 'config' | 'hostName'>,
  disk: DiskLocation,
  vmId: number,
): Record<string, unknown> {
  return { vmId, diskId: disk.diskId, link: disk.path, cloud: cloudName(context) };
}
