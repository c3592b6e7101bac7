/**
 * clone and ln: an image of the frontend (or of the web) becomes a volume of the VM's own. A persistent image (ln) is
 * worked on in the same way and comes back with mvds. oned links images that no VM changes, too, as CD-ROMs: of these each
 * VM has a copy that goes with it. Kernels and ramdisks of file datastores are copied as files.
 */
import { createReadStream } from 'node:fs';
import type { CloneCall, LinkCall } from '../arguments/transfer.ts';
import type { ActionContext } from '../action.ts';
import { askDiskFacts, isPersistent, sendImage } from './send-image.ts';
import { forgetSaved } from './saved.ts';
import { openSource } from './source.ts';
import { CxmError } from '../../errors.ts';

export async function clone(context: ActionContext, call: CloneCall): Promise<undefined> {
  const { destination } = call;
  if (destination.kind === 'disk') return copyImage(context, { ...call, destination }, false);
  if (call.source.kind !== 'file') {
    throw new CxmError('UNSUPPORTED', `${destination.name} must be a file of the frontend`);
  }
  const { path } = call.source;
  await context.helper(
    { host: destination.host },
    {
      operation: 'receive-file',
      parameters: { vmId: call.vmId, path: destination.path },
      send: async (sink) => {
        for await (const chunk of createReadStream(path)) await sink.data(chunk as Buffer);
      },
    },
  );
}

export async function ln(context: ActionContext, call: LinkCall): Promise<undefined> {
  return copyImage(context, call, true);
}

async function copyImage(
  context: ActionContext,
  { source, destination, vmId }: LinkCall,
  linked: boolean,
): Promise<undefined> {
  forgetSaved(context, vmId, destination.diskId);
  const facts = await askDiskFacts(context, vmId, destination.diskId);
  // What OpenNebula does not tell more about may be persistent: it is not removed then before it was saved.
  const persistent = linked && (facts.image === undefined || isPersistent(facts));
  const open = await openSource(source, context.config.BLOCK_SIZE);
  await sendImage(context, { source: open, destination, vmId, facts, persistent, purpose: 'new' });
}
