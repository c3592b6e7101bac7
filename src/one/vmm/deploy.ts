/**
 * deploy and restore, the host's side that works as oneadmin: it finds the VM's document where the deployment file lacks
 * it, lets the helper do the rest, and leaves the link in the VM's directory, which may lie on NFS where root is nobody.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DeployResult } from '../../agent/operations/domain-deploy.ts';
import { asCxmError } from '../../errors.ts';
import { monotonicMs } from '../../host/clock.ts';
import type { ActionContext } from '../action.ts';
import { messagePatienceMs, parseDeploy, parseRestore } from '../arguments/machine.ts';
import { createFrontend } from '../client.ts';
import { readPayload } from '../documents/payload.ts';
import { parseVirtualMachine } from '../documents/virtual-machine.ts';
import { needsDocument } from '../domain/deployment.ts';

/** Prints the deploy id: the name of the domain. */
export async function deploy(context: ActionContext): Promise<string> {
  const begunMs = monotonicMs();
  const { vmId, deploymentFile, deployment } = parseDeploy(context.argv, await context.standardInput());
  const directory = dirname(deploymentFile);
  const needed = needsDocument(deployment, context.config.VM_FQDN_TEMPLATE);
  // A Xen configuration is compared with the document wherever that is to be had without asking.
  const local = needed || deployment.kind === 'xen' ? localDocument(directory, vmId) : undefined;
  const document = local ?? (needed ? await frontendDocument(context, vmId) : undefined);
  const parameters = {
    vmId,
    directory,
    deployment: deployment.kind === 'empty' ? '' : deployment.text,
    begunMs,
    ...(document === undefined ? {} : { document }),
  };
  const result = (await context.helper('here', { operation: 'domain-deploy', parameters })) as DeployResult;
  try {
    linkTo(deploymentFile, result.configPath);
  } catch (error) {
    context.report.warn(`${deploymentFile} could not be made a link: ${asCxmError(error).message}`);
  }
  dropCheckpoint(context, `${directory}/checkpoint`);
  return result.deployId;
}

export async function restore(context: ActionContext): Promise<undefined> {
  const begunMs = monotonicMs();
  const { vmId, deployId, checkpoint } = parseRestore(context.argv);
  const input = readPayload(
    await context.standardInput(messagePatienceMs('restore', context.argv)),
    'the message of restore',
  );
  const document = input.kind === 'xml' ? input.text : await frontendDocument(context, vmId);
  const parameters = {
    vmId,
    checkpoint,
    directory: dirname(checkpoint),
    begunMs,
    ...(deployId === undefined ? {} : { deployId }),
    ...(document === undefined ? {} : { document }),
  };
  await context.helper('here', { operation: 'domain-restore', parameters });
  dropCheckpoint(context, checkpoint);
  return undefined;
}

/**
 * Once the guest runs, a saved memory does not fit the disks any more: nobody may restore it, and while it lies there
 * the disks would be saved block by block for its sake.
 */
function dropCheckpoint({ report }: ActionContext, checkpoint: string): void {
  try {
    rmSync(checkpoint, { force: true });
  } catch (error) {
    report.warn(`${checkpoint} is out of date, but could not be removed: ${asCxmError(error).message}`);
  }
}

/** OpenNebula 6.0 and later leave the document in the VM's directory right before a deploy. */
function localDocument(directory: string, vmId: number): string | undefined {
  try {
    const payload = readPayload(readFileSync(`${directory}/vm.xml`, 'utf8'), 'vm.xml');
    if (payload.kind !== 'xml') return undefined;
    return parseVirtualMachine(payload.text, 'vm.xml').id === vmId ? payload.text : undefined;
  } catch {
    return undefined;
  }
}

/** Older ones have to be asked. Without an answer the helper sees whether it can do without. */
async function frontendDocument(
  { config, commands, report }: ActionContext,
  vmId: number,
): Promise<string | undefined> {
  if (config.ONE_HOST === '') return undefined;
  const frontend = createFrontend(commands, {
    kind: 'ssh',
    host: config.ONE_HOST,
    user: config.ONE_USER,
    connectTimeoutSeconds: config.CONNECT_TIMEOUT,
  });
  try {
    const { stdout } = await frontend.run('onevm', ['show', '-x', String(vmId)]);
    return stdout;
  } catch (error) {
    report.warn(`the document of VM ${vmId} is not to be had: ${asCxmError(error).message}`);
    return undefined;
  }
}

/** Makes `path` a link, whatever stood there before. */
function linkTo(path: string, target: string): void {
  const temporary = `${path}.cxm-new`;
  mkdirSync(dirname(path), { recursive: true });
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, path);
}
