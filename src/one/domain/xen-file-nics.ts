/**
 * The network interfaces of oned's own Xen configuration. oned writes MODEL, which a cloud user chooses, into the middle
 * of it as it is: `e1000,mac=...,bridge=...', #` puts an interface on any bridge in place of the VM's own, and the file
 * then looks as if oned had meant it. So an interface must look exactly as oned writes it, and one with a
 * model is believed only if the VM's document has the same interfaces.
 */
import { CxmError } from '../../errors.ts';
import type { DomainConfig } from '../../xen/config-file.ts';
import type { VirtualMachine } from '../documents/virtual-machine.ts';
import { refusal } from './checks.ts';
import type { DomainNic, GuestType } from './description.ts';
import { checkedNic, type NicWords } from './devices.ts';

/** A blank stands first if there is no model; name and script of an interface are never written. */
const itemPattern = /^ ?(?:model=([^,]*),)?mac=([^,]*)(?:,ip=([^,]*))?,bridge=([^,]*)$/;

/** @throws CxmError INVALID_INPUT naming the interface, or saying that they are not the VM's */
export function nicsIn(
  config: DomainConfig,
  vmId: number,
  guest: GuestType,
  document: VirtualMachine | undefined,
): DomainNic[] {
  const found = (config.getList('vif') ?? []).map((item, index) => wordsOf(item, vmId, index));
  if (document !== undefined) requireSameNics(found, document, vmId);
  const doubtful = document === undefined ? found.findIndex(({ model }) => model !== undefined) : -1;
  if (doubtful >= 0) {
    throw new CxmError(
      'INVALID_INPUT',
      `VM ${vmId}: the MODEL of NIC ${doubtful} can't be trusted, because there is no document of the VM to compare it with`,
      {
        hint: 'set ONE_HOST in cxmrc, so that the frontend can be asked for the document, or leave MODEL out of the NIC',
      },
    );
  }
  return found.map((words, index) => checkedNic(words, vmId, `NIC ${index}`, guest));
}

function wordsOf(item: unknown, vmId: number, index: number): NicWords {
  const text = typeof item === 'string' ? item : JSON.stringify(item);
  const match = typeof item === 'string' ? itemPattern.exec(item) : null;
  if (match === null) {
    const hint = 'MODEL must be a card like e1000; nothing else of an interface can be chosen';
    throw refusal({ vmId, what: `NIC ${index}` }, text, 'as oned writes it: model, mac, ip and bridge', hint);
  }
  const [, model, mac, ip, bridge] = match;
  return {
    model,
    mac,
    ips: ip === undefined ? [] : [ip],
    bridge,
    script: undefined,
    interfaceName: undefined,
  };
}

function requireSameNics(found: readonly NicWords[], document: VirtualMachine, vmId: number): void {
  const keyOf = (mac = '', bridge = '', ip = ''): string => [mac.toLowerCase(), bridge, ip].join();
  const written = found.map(({ mac, bridge, ips }) => keyOf(mac, bridge, ips[0]));
  const meant = document.nics.map(({ mac, bridge, ip }) => keyOf(mac, bridge, ip));
  if (written.sort().join('\n') === meant.sort().join('\n')) return;
  throw new CxmError(
    'INVALID_INPUT',
    `VM ${vmId}: the interfaces in the deployment file are not those of its document`,
    {
      hint: 'look at MODEL of its NICs, which must be a card like e1000, and deploy it again',
    },
  );
}
