/**
 * The host documents: `onehost show -x` (`<HOST>`) and `onehost list -x` (`<HOST_POOL>`), for mapping the names that
 * the cluster uses to the names that OpenNebula uses.
 */
import { CxmError } from '../../errors.ts';
import { childrenNamed, integerOf, textOf } from './fields.ts';
import { parseXml, type XmlElement } from './xml.ts';

export interface HostInfo {
  readonly id: number;
  readonly name: string;
  /** 2 is MONITORED, the state of a host that works; 3 ERROR, 4 DISABLED. */
  readonly state: number | undefined;
  readonly clusterId: number | undefined;
  readonly cluster: string | undefined;
  readonly vmMad: string | undefined;
}

/** One host of `onehost show -x`. @throws CxmError INVALID_INPUT */
export function parseHost(text: string, what = 'the host document'): HostInfo {
  const root = parseXml(text, what);
  if (root.name !== 'HOST') throw new CxmError('INVALID_INPUT', `${what} is no HOST but <${root.name}>`);
  return hostOf(root, what);
}

/** All hosts of `onehost list -x`. @throws CxmError INVALID_INPUT */
export function parseHosts(text: string, what = 'the list of hosts'): HostInfo[] {
  const root = parseXml(text, what);
  if (root.name !== 'HOST_POOL') throw new CxmError('INVALID_INPUT', `${what} is no HOST_POOL but <${root.name}>`);
  return childrenNamed(root, 'HOST').map((host) => hostOf(host, what));
}

function hostOf(element: XmlElement, what: string): HostInfo {
  const id = integerOf(element, 'ID');
  const name = textOf(element, 'NAME');
  if (id === undefined || name === undefined)
    throw new CxmError('INVALID_INPUT', `${what} has a HOST without ID or NAME`);
  return {
    id,
    name,
    state: integerOf(element, 'STATE'),
    clusterId: integerOf(element, 'CLUSTER_ID'),
    cluster: textOf(element, 'CLUSTER'),
    vmMad: textOf(element, 'VM_MAD'),
  };
}
