/**
 * Disks, interfaces and capacity of a running VM: what is to be plugged in comes from the VM's document where oned sends
 * it, else from the arguments.
 */
import { CxmError } from '../../errors.ts';
import type { ActionContext } from '../action.ts';
import {
  messageFrom,
  messagePatienceMs,
  parseAttachDisk,
  parseAttachNic,
  parseDetachDisk,
  parseDetachNic,
  parseResizeDisk,
  parseResizeMachine,
  type AttachNicCall,
} from '../arguments/machine.ts';
import { diskWithId, type VirtualMachine } from '../documents/virtual-machine.ts';
import { capacityOf } from '../domain/capacity.ts';
import { targetDevice } from '../domain/checks.ts';
import { checkedNic, diskOf, nicOf, scriptOf } from '../domain/devices.ts';
import type { DomainNic } from '../domain/description.ts';
import { guestOf } from '../domain/from-document.ts';
import { domainOf } from './domain.ts';

export async function attachDisk(context: ActionContext): Promise<undefined> {
  const call = parseAttachDisk(context.argv);
  const { vmId, diskId, message } = call;
  const disk = message.vm.disks.find(({ attach }) => attach) ?? diskWithId(message.vm, diskId);
  if (disk === undefined || disk.diskId !== diskId) {
    throw new CxmError('INVALID_INPUT', `the message of attach_disk does not describe disk ${diskId} of VM ${vmId}`);
  }
  const { readonly } = diskOf({ ...disk, target: call.target }, vmId, 'pv');
  const parameters = { ...domainOf(call), diskId, readonly, target: targetOf(vmId, call.target) };
  await context.helper('here', { operation: 'domain-attach-disk', parameters });
  return undefined;
}

export async function detachDisk(context: ActionContext): Promise<undefined> {
  const call = parseDetachDisk(context.argv);
  const parameters = { ...domainOf(call), diskId: call.diskId, target: targetOf(call.vmId, call.target) };
  await context.helper('here', { operation: 'domain-detach-disk', parameters });
  return undefined;
}

function targetOf(vmId: number, target: string): string {
  return targetDevice({ vmId, what: 'the target' }, target);
}

export async function attachNic(context: ActionContext): Promise<undefined> {
  const call = parseAttachNic(context.argv);
  const input = await context.standardInput(messagePatienceMs('attach_nic', context.argv));
  const message = messageFrom('attach_nic', input, call.vmId);
  const { ips, ...nic } = nicFor(call, message?.vm);
  const parameters = { ...domainOf(call), ...nic, ...(ips.length === 0 ? {} : { ip: ips.join(' ') }) };
  await context.helper('here', { operation: 'domain-attach-nic', parameters });
  return undefined;
}

function nicFor(call: AttachNicCall, vm: VirtualMachine | undefined): DomainNic {
  const { vmId, mac, bridge, model } = call;
  const described = vm?.nics.find((nic) => nic.mac?.toLowerCase() === mac);
  if (vm !== undefined && described !== undefined) {
    const nic = { ...described, bridge: bridge ?? described.bridge, vnMad: described.vnMad ?? call.networkDriver };
    return nicOf(nic, vmId, described.nicId ?? 0, guestOf(vm, vmId));
  }
  const words = {
    mac,
    bridge,
    model,
    ips: [],
    script: scriptOf(call.networkDriver),
    interfaceName: call.networkDriver === 'dummy' ? undefined : call.target,
  };
  // Without the document nobody knows the type of the guest; a model is meant for an emulated card.
  return checkedNic(words, vmId, 'the interface', model === undefined ? 'pv' : 'hvm');
}

export async function detachNic(context: ActionContext): Promise<undefined> {
  const call = parseDetachNic(context.argv);
  const parameters = { ...domainOf(call), mac: call.mac };
  await context.helper('here', { operation: 'domain-detach-nic', parameters });
  return undefined;
}

/** CPU and memory of a running VM. */
export async function resize(context: ActionContext): Promise<undefined> {
  const call = parseResizeMachine(context.argv, await context.standardInput());
  const { memoryMib, vcpus, cpuWeight } = capacityOf(call.message.vm, call.vmId, context.config.CPU_CREDIT);
  const parameters = { ...domainOf(call), memoryMib, vcpus, cpuWeight };
  await context.helper('here', { operation: 'domain-resize', parameters });
  return undefined;
}

/** The transfer manager has enlarged the volume already. */
export async function resizeDisk(context: ActionContext): Promise<undefined> {
  const call = parseResizeDisk(context.argv);
  const parameters = { ...domainOf(call), diskId: call.diskId, sizeMib: call.sizeMb };
  await context.helper('here', { operation: 'domain-check-disk-size', parameters });
  return undefined;
}
