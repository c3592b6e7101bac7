/**
 * From a cluster node's name to OpenNebula's name for it. The cluster may use full names where OpenNebula has short
 * ones, or the other way round; a name that fits two hosts fits none.
 */
import { CxmError } from '../../errors.ts';
import type { HostInfo } from '../documents/host.ts';

/** The host that both call so. @throws CxmError NOT_FOUND when there is none or more than one */
export function findHost(name: string, hosts: readonly HostInfo[]): HostInfo {
  const wanted = name.toLowerCase();
  const exact = hosts.filter((host) => host.name.toLowerCase() === wanted);
  const candidates = exact.length > 0 ? exact : hosts.filter((host) => sameHost(host.name, name));
  const [found] = candidates;
  if (found !== undefined && candidates.length === 1) return found;
  const known = hosts.map((host) => host.name).join(', ') || 'no host';
  throw new CxmError(
    'NOT_FOUND',
    found === undefined
      ? `OpenNebula has no host ${name}: it knows ${known}`
      : `the node ${name} could be any of OpenNebula's hosts ${candidates.map((host) => host.name).join(', ')}`,
    { hint: 'name the hosts in OpenNebula as the cluster does (`onehost list`)' },
  );
}

/** Whether two names mean one machine: the same, or one is the other without its domain. Case does not matter. */
export function sameHost(left: string, right: string): boolean {
  const [a, b] = [left.toLowerCase(), right.toLowerCase()];
  if (a === b) return true;
  if (isAddress(a) || isAddress(b)) return false;
  return a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
}

function isAddress(name: string): boolean {
  return /^[0-9.]+$/.test(name) || name.includes(':');
}
