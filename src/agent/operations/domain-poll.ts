/**
 * poll: what a VM uses, and whether it runs. Rates are measured since an earlier look, so that none has to wait: 3.x
 * polls VM by VM.
 */
import { meaningOf, runsHere } from '../../xen/domain-list.ts';
import type { DomainHost } from './domain-host.ts';
import { findDomainOrNamed } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { look, uptimeSeconds } from './monitor.ts';

export interface PollResult {
  /** `arriving` or `leaving`: in the middle of a migration, save or start. */
  readonly state: 'running' | 'paused' | 'moving' | 'ended' | 'absent';
  readonly name?: string;
  /** 100 is one full CPU. Undefined until there is an earlier look. */
  readonly cpuPercent?: number;
  readonly memoryKib?: number;
  readonly receivedBytes?: number;
  readonly sentBytes?: number;
}

/** @throws CxmError FOREIGN when nobody can tell whether a domain is the VM: OpenNebula takes one that is absent for ended */
export async function poll(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<PollResult> {
  const { name, rows, running } = await findDomainOrNamed(host, vmId, deployId);
  const row = running ?? rows[0];
  if (name === undefined || row === undefined) return { state: 'absent' };
  if (!runsHere(row)) {
    const meaning = meaningOf(row);
    return { state: meaning === 'shutDown' || meaning === 'dying' ? 'ended' : 'moving', name };
  }
  const state = meaningOf(row) === 'paused' ? 'paused' : 'running';
  return { state, name, memoryKib: row.memoryMib * 1024, ...(await usage(host, row.id)) };
}

async function usage(host: DomainHost, domainId: number): Promise<Partial<PollResult>> {
  const { domains } = await look({ ...host, uptimeSeconds }, { host: false, usage: true });
  const found = domains.find(({ id }) => id === domainId);
  if (found === undefined) return {};
  const { cpuPercent, memoryKib, counters } = found;
  return {
    memoryKib,
    ...(cpuPercent === undefined ? {} : { cpuPercent }),
    ...(counters === undefined ? {} : { receivedBytes: counters.receivedBytes, sentBytes: counters.sentBytes }),
  };
}
