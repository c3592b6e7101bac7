/**
 * The VM's document at the time of a call, for those actions that ask the frontend: what the call itself carries, else
 * what the VM's next call carries, since a change is in the document before the drivers hear of it.
 */
import { recordedFile, type OneVersion } from '../support/recordings.ts';
import type { Call } from './calls.ts';

export function documentOf(calls: readonly Call[], index: number): string | undefined {
  const call = calls[index];
  if (call?.vmId === undefined) return undefined;
  const own = (other: Call): boolean => other.vmId === call.vmId && machineIn(other.document) !== undefined;
  const next = calls.slice(index).find(own) ?? calls.slice(0, index).findLast(own);
  return machineIn(next?.document) ?? derived(call.version, call.vmId, calls);
}

/** The VM within a message of 7.x, or the document itself. */
function machineIn(document: string | undefined): string | undefined {
  return document === undefined ? undefined : /<VM>[^]*<\/VM>/.exec(document)?.[0];
}

/** 3.8 sends few documents: VMs without one were made from the templates of VM 1 and VM 8. */
function derived(version: OneVersion, vmId: number, calls: readonly Call[]): string {
  const persistent = calls.some(({ action, vmId: of }) => action === 'ln' && of === vmId);
  const model = persistent ? calls.find(({ vmId: of, document }) => of === 1 && document !== undefined) : undefined;
  const text = machineIn(model?.document) ?? recordedFile(version, 'onevm-show-x.xml');
  const from = model === undefined ? 8 : 1;
  return text
    .replace(`<ID>${from}</ID>`, `<ID>${vmId}</ID>`)
    .replaceAll(`<OID>${from}</OID>`, `<OID>${vmId}</OID>`)
    .replace(`<VMID><![CDATA[${from}]]>`, `<VMID><![CDATA[${vmId}]]>`)
    .replace(`<DEPLOY_ID>one-${from}<`, `<DEPLOY_ID>one-${vmId}<`);
}

export interface DiskWords {
  readonly diskId: number;
  readonly target: string;
  readonly imageId: number | undefined;
  readonly fileSystem: string | undefined;
}

/** What the document says of the VM's disks; the context is one of them. */
export function disksOf(document: string): DiskWords[] {
  return ['DISK', 'CONTEXT'].flatMap((element) => {
    const parts = document.match(new RegExp(`<${element}>[^]*?</${element}>`, 'g')) ?? [];
    return parts.flatMap((part) => {
      const diskId = valueIn(part, 'DISK_ID');
      if (diskId === undefined) return [];
      const imageId = valueIn(part, 'IMAGE_ID');
      return {
        diskId: Number(diskId),
        target: valueIn(part, 'TARGET') ?? '',
        imageId: imageId === undefined ? undefined : Number(imageId),
        fileSystem: valueIn(part, 'FS'),
      };
    });
  });
}

export function macsOf(document: string): string[] {
  const nics = document.match(/<NIC>[^]*?<\/NIC>/g) ?? [];
  return nics.map((nic) => valueIn(nic, 'MAC') ?? '');
}

export function valueIn(part: string, element: string): string | undefined {
  const found = new RegExp(`<${element}>(?:<!\\[CDATA\\[(.*?)\\]\\]>|([^<]*))</${element}>`).exec(part);
  return found === null ? undefined : (found[1] ?? found[2]);
}
