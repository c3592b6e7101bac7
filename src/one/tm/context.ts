/**
 * context: the contextualisation CD of a VM. It is an ISO 9660 image on a small volume of its own, so that it moves
 * with the VM as every disk does. A running VM's CD is overwritten in place.
 */
import { CxmError } from '../../errors.ts';
import { buildIso, type IsoFile } from '../../transfer/iso9660.ts';
import type { ActionContext } from '../action.ts';
import type { ContextCall, ContextSource } from '../arguments/context.ts';
import { diskParameters } from './shared.ts';
import { requireAllowedSize } from './size.ts';
import { toBuffer } from './source.ts';

const maxDownloadBytes = 256 * 1024 * 1024;
const downloadMs = 600_000;

export async function contextualise(context: ActionContext, call: ContextCall): Promise<undefined> {
  const files = await Promise.all(call.sources.map(isoFile));
  const iso = await buildIso(files, { label: 'CONTEXT', timeSeconds: Math.floor(Date.now() / 1000) });
  const what = `disk ${call.destination.diskId} of VM ${call.vmId}, its context,`;
  requireAllowedSize(iso.sizeBytes, what, context.config);
  await context.helper(
    { host: call.destination.host },
    {
      operation: 'receive-disk',
      parameters: {
        ...diskParameters(context, call.destination, call.vmId),
        sizeBytes: iso.sizeBytes,
        inPlace: true,
        landing: 'image',
        compression: 'none',
      },
      send: async (sink) => {
        for await (const bytes of iso.bytes) await sink.data(toBuffer(bytes));
      },
    },
  );
}

async function isoFile({ origin, name }: ContextSource): Promise<IsoFile> {
  if (origin.kind === 'file') return { name, content: { path: origin.path } };
  const response = await fetch(origin.url, { signal: AbortSignal.timeout(downloadMs) }).catch((cause: unknown) => {
    throw new CxmError('NOT_FOUND', `${origin.url} can't be fetched`, { cause });
  });
  if (!response.ok)
    throw new CxmError('NOT_FOUND', `${origin.url} can't be fetched: the server answers ${response.status}`);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += (part as Uint8Array).length;
    if (length > maxDownloadBytes) throw new CxmError('INVALID_INPUT', `${origin.url} is too large for a context`);
    parts.push(part as Uint8Array);
  }
  return { name, content: Buffer.concat(parts) };
}
