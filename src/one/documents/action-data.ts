/**
 * The message that the VMM driver gives its scripts: `<VMM_DRIVER_ACTION_DATA>`, in an argument (attach_disk,
 * resize_disk) or, from 5.0 on, on every script's standard input.
 */
import { CxmError } from '../../errors.ts';
import { childOf, textOf } from './fields.ts';
import { datastoreOf, type Datastore } from './datastore.ts';
import { readPayload } from './payload.ts';
import { virtualMachineOf, type VirtualMachine } from './virtual-machine.ts';
import { parseXml } from './xml.ts';

export interface ActionData {
  readonly host: string | undefined;
  readonly migrationHost: string | undefined;
  readonly deployId: string | undefined;
  readonly localDeploymentFile: string | undefined;
  readonly remoteDeploymentFile: string | undefined;
  readonly checkpointFile: string | undefined;
  readonly diskTargetPath: string | undefined;
  readonly vm: VirtualMachine;
  /** The system datastore, from 6.0 on. */
  readonly datastore: Datastore | undefined;
}

/**
 * Reads the message, raw or in base64.
 * @throws CxmError INVALID_INPUT, also for a document of another kind
 */
export function parseActionData(text: string, what = 'the message of the VMM driver'): ActionData {
  const payload = readPayload(text, what);
  if (payload.kind !== 'xml') throw new CxmError('INVALID_INPUT', `${what} is not XML`);
  const root = parseXml(payload.text, what);
  if (root.name !== 'VMM_DRIVER_ACTION_DATA') {
    throw new CxmError('INVALID_INPUT', `${what} is no VMM_DRIVER_ACTION_DATA but <${root.name}>`);
  }
  return {
    host: textOf(root, 'HOST'),
    migrationHost: textOf(root, 'MIGR_HOST'),
    deployId: textOf(root, 'DEPLOY_ID'),
    localDeploymentFile: textOf(root, 'LOCAL_DEPLOYMENT_FILE'),
    remoteDeploymentFile: textOf(root, 'REMOTE_DEPLOYMENT_FILE'),
    checkpointFile: textOf(root, 'CHECKPOINT_FILE'),
    diskTargetPath: textOf(root, 'DISK_TARGET_PATH'),
    vm: virtualMachineOf(root, what),
    datastore: childOf(root, 'DATASTORE') === undefined ? undefined : datastoreOf(root, what),
  };
}
