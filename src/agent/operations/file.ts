/**
 * receive-file and delete-file: one small file in the directory of a VM (kernel, initrd), with the rights of the user
 * oned runs as, whole or not at all.
 */
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CxmError } from '../../errors.ts';
import type { Operation } from '../operation.ts';
import { asOwner, removeFile } from '../owner.ts';
import { absolutePath, wholeNumber, type Parameters } from '../parameters.ts';
import { bytesOf } from './fill.ts';

function parseFile(parameters: Parameters): { readonly path: string } {
  const path = absolutePath(parameters, 'path');
  const vmId = wholeNumber(parameters, 'vmId');
  if (new RegExp(`/${vmId}/(kernel|initrd)$`).test(path)) return { path };
  throw new CxmError('INVALID_INPUT', `parameter path is ${path}, but must end in /${vmId}/kernel or /${vmId}/initrd`);
}

export const receiveFile: Operation<{ readonly path: string }, object> = {
  name: 'receive-file',
  parse: parseFile,
  async run(context, { path }) {
    const temporary = `${path}.cxm-new`;
    asOwner(context.owner, () => mkdirSync(dirname(path), { recursive: true }));
    await context.ready();
    try {
      asOwner(context.owner, () => writeFileSync(temporary, ''));
      for await (const bytes of bytesOf(context.incoming())) {
        asOwner(context.owner, () => writeFileSync(temporary, bytes, { flag: 'a' }));
      }
      asOwner(context.owner, () => {
        chmodSync(temporary, 0o644);
        renameSync(temporary, path);
      });
    } catch (error) {
      asOwner(context.owner, () => rmSync(temporary, { force: true }));
      throw error;
    }
    return {};
  },
};

export const deleteFile: Operation<{ readonly path: string }, object> = {
  name: 'delete-file',
  parse: parseFile,
  run(context, { path }) {
    removeFile(context.owner, path);
    return Promise.resolve({});
  },
};
