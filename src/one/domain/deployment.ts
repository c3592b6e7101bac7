/**
 * From what oned sends to the one configuration file of a domain: the door to this directory. Both forms of deployment
 * file come to the same description, and the description to the same file.
 */
import { CxmError } from '../../errors.ts';
import type { DomainConfig } from '../../xen/config-file.ts';
import type { Cxmrc } from '../../config/cxmrc.ts';
import type { Payload } from '../documents/payload.ts';
import { parseVirtualMachine } from '../documents/virtual-machine.ts';
import type { DomainDescription, DomainSettings } from './description.ts';
import { describeDocument, type Deployment } from './from-document.ts';
import { describeXenFile } from './from-xen-file.ts';
import { templateNeeds } from './name.ts';
import { renderDomain } from './render.ts';

export interface DomainFile {
  readonly description: DomainDescription;
  readonly config: DomainConfig;
}

/** What of cxmrc decides about domains. */
export function domainSettings(cxmrc: Cxmrc): DomainSettings {
  return {
    deviceDirectory: `/dev/${cxmrc.VG_NAME}`,
    volumePrefix: cxmrc.LV_PREFIX,
    nameTemplate: cxmrc.VM_FQDN_TEMPLATE,
    cpuCredit: cxmrc.CPU_CREDIT,
    bootloaders: cxmrc.BOOTLOADERS,
    kernelDirectories: cxmrc.KERNEL_DIRS,
    rawKeys: cxmrc.RAW_KEYS,
  };
}

/**
 * The configuration of the domain of a deployment file.
 * @throws CxmError INVALID_INPUT or UNSUPPORTED, naming the VM and the attribute or line
 */
export function domainFile(payload: Payload, deployment: Deployment, settings: DomainSettings): DomainFile {
  const description = describe(payload, deployment, settings);
  return { description, config: renderDomain(description, settings) };
}

/**
 * Whether the VM's full document is needed besides the deployment file: to make the domain's name, or because the
 * interfaces of a Xen configuration with a MODEL have to be compared with it.
 */
export function needsDocument(payload: Payload, nameTemplate: string): boolean {
  const { userName, vmName } = templateNeeds(nameTemplate);
  if (payload.kind === 'xen') return userName || vmName || /\bmodel=/.test(payload.text);
  if (payload.kind === 'empty') return false;
  const vm = parseVirtualMachine(payload.text, 'the deployment file');
  return (userName && vm.user === undefined) || (vmName && vm.name === undefined);
}

function describe(payload: Payload, deployment: Deployment, settings: DomainSettings): DomainDescription {
  switch (payload.kind) {
    case 'xml':
      return describeDocument(parseVirtualMachine(payload.text, 'the deployment file'), deployment, settings);
    case 'xen':
      return describeXenFile(payload.text, deployment, settings);
    case 'empty':
      throw new CxmError('INVALID_INPUT', `no deployment file came for VM ${deployment.vmId}`);
  }
}
