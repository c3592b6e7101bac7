/**
 * poll: what a VM uses, and whether it runs. One look at one domain; the monitoring of whole hosts has its own way.
 */
import { meaningOf, runsHere } from '../../xen/domain-list.ts';
import { parseXentop } from '../../xen/xentop.ts';
import type { DomainHost } from './domain-host.ts';
import { findDomain } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';

export interface PollResult {
  /** `arriving` or `leaving`: in the middle of a migration, save or start. */
  readonly state: 'running' | 'paused' | 'moving' | 'ended' | 'absent';
  readonly name?: string;
  /** 100 is one full CPU. */
  readonly cpuPercent?: number;
  readonly memoryKib?: number;
  readonly receivedBytes?: number;
  readonly sentBytes?: number;
}

export async function poll(host: DomainHost, { vmId, deployId }: DomainParameters): Promise<PollResult> {
  const { name, rows, running } = await findDomain(host, vmId, deployId);
  const row = running ?? rows[0];
  if (name === undefined || row === undefined) return { state: 'absent' };
  if (!runsHere(row)) {
    const meaning = meaningOf(row);
    return { state: meaning === 'shutDown' || meaning === 'dying' ? 'ended' : 'moving', name };
  }
  const state = meaningOf(row) === 'paused' ? 'paused' : 'running';
  return { state, name, memoryKib: row.memoryMib * 1024, ...(await usage(host, name)) };
}

/** The rate of CPU time needs two samples; without xentop the VM is still known to run. */
async function usage(host: DomainHost, name: string): Promise<Partial<PollResult>> {
  try {
    const { stdout } = await host.commands.run('xentop', ['-b', '-f', '-i', '2', '-d', '1'], { timeoutMs: 30_000 });
    const found = parseXentop(stdout)
      .at(-1)
      ?.find((domain) => domain.name === name);
    if (found === undefined) return {};
    return {
      cpuPercent: found.cpuPercent,
      memoryKib: found.memoryKib,
      receivedBytes: found.networkReceivedKib * 1024,
      sentBytes: found.networkSentKib * 1024,
    };
  } catch (error) {
    host.log('DEBUG', `xentop: ${error instanceof Error ? error.message : String(error)}`);
    return {};
  }
}
