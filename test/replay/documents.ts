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
  // A disk that is gone again before the next document was in an earlier one.
  const fits = (other: Call): boolean => own(other) && knowsDisk(machineIn(other.document) ?? '', call);
  const [after, before] = [calls.slice(index), calls.slice(0, index)];
  const found = after.find(fits) ?? before.findLast(fits) ?? after.find(own) ?? before.findLast(own);
  return machineIn(found?.document) ?? derived(call.version, call.vmId, calls);
}

/** The image to which 7.x's recorder gave a source of two words. */
export const twoWordImageId = 3;

export function hasTwoWordSource({ argv }: Pick<Call, 'argv'>): boolean {
  return argv.some((word, index) => word === 'raw' && argv[index - 1]?.endsWith('probevg.lv-one-') === true);
}

/** Whether the document knows the disk that the call is about, if it is about one. */
function knowsDisk(document: string, { driver, action, argv }: Call): boolean {
  const diskId = /\/disk\.(\d+)$/.exec(argv.find((word) => /\/disk\.\d+$/.test(word)) ?? '')?.[1];
  if (driver === 'vmm' || diskId === undefined) return true;
  const disk = disksOf(document).find((one) => one.diskId === Number(diskId));
  return disk !== undefined && (action !== 'clone' || !hasTwoWordSource({ argv }) || disk.imageId === twoWordImageId);
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
  const deployment = calls.find(({ action, vmId: of }) => action === 'deploy' && of === vmId)?.standardInput ?? '';
  const [, mac = '02:00:0a:63:00:01', ip = '10.99.0.1'] = /mac=([^,]*),ip=([^,]*)/.exec(deployment) ?? [];
  return text
    .replaceAll('[02:00:0a:63:00:01]', `[${mac}]`)
    .replaceAll('[10.99.0.1]', `[${ip}]`)
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

export function contextDiskOf(document: string): number | undefined {
  const id = valueIn(/<CONTEXT>[^]*?<\/CONTEXT>/.exec(document)?.[0] ?? '', 'DISK_ID');
  return id === undefined ? undefined : Number(id);
}

export function macsOf(document: string): string[] {
  const nics = document.match(/<NIC>[^]*?<\/NIC>/g) ?? [];
  return nics.map((nic) => valueIn(nic, 'MAC') ?? '');
}

export function valueIn(part: string, element: string): string | undefined {
  const found = new RegExp(`<${element}>(?:<!\\[CDATA\\[(.*?)\\]\\]>|([^<]*))</${element}>`).exec(part);
  return found === null ? undefined : (found[1] ?? found[2]);
}
