/**
 * What the probes print: the words of 3.x, of 4.x to 5.10, and of 5.12 and later, for what one look at the
 * host has found. Pure.
 */
import type { MonitoredDomain, MonitoredHost } from '../../agent/operations/monitor.ts';
import type { HostFacts } from './host-facts.ts';
import { importTemplate, machinesOf, stateOf, wildDomains, type MachineState } from './machines.ts';
import { encoded, numberAttribute, textAttribute, wholeOrTwoDecimals } from './values.ts';

/** What does not change: CPUs, memory, model. Memory in KiB, TOTALCPU in percent of one CPU, CPUSPEED in MHz. */
export function hostSystemLines(host: MonitoredHost, facts: HostFacts): readonly string[] {
  const { datastores } = facts;
  return [
    'HYPERVISOR=xen',
    ...(host.machine === '' ? [] : [textAttribute('ARCH', host.machine)]),
    ...(facts.modelName === '' ? [] : [textAttribute('MODELNAME', facts.modelName)]),
    textAttribute('HOSTNAME', facts.hostName),
    numberAttribute('TOTALCPU', host.cpus * 100),
    numberAttribute('CPUSPEED', Math.round(host.cpuMhz)),
    numberAttribute('TOTALMEMORY', host.totalMemoryKib),
    ...(host.xenVersion === '' ? [] : [textAttribute('XEN_VERSION', host.xenVersion)]),
    ...(datastores === undefined
      ? []
      : [
          numberAttribute('DS_LOCATION_USED_MB', datastores.totalMib - datastores.freeMib),
          numberAttribute('DS_LOCATION_TOTAL_MB', datastores.totalMib),
          numberAttribute('DS_LOCATION_FREE_MB', datastores.freeMib),
        ]),
  ];
}

/** What changes. Memory that no domain has is free; domain 0's counts as used. NETRX and NETTX in bytes since boot. */
export function hostUsageLines(host: MonitoredHost, facts: HostFacts): readonly string[] {
  const used = Math.round(host.cpuPercent ?? 0);
  return [
    numberAttribute('USEDMEMORY', Math.max(0, host.totalMemoryKib - host.freeMemoryKib)),
    numberAttribute('FREEMEMORY', host.freeMemoryKib),
    numberAttribute('USEDCPU', used),
    numberAttribute('FREECPU', Math.max(0, host.cpus * 100 - used)),
    numberAttribute('NETRX', facts.receivedBytes),
    numberAttribute('NETTX', facts.sentBytes),
  ];
}

/** Domains that OpenNebula does not know, as 5.12 and later take them with the host's system data. */
export function wildLines(domains: readonly MonitoredDomain[]): readonly string[] {
  return wildDomains(domains).map(
    (domain) =>
      `VM = [ ID="-1", DEPLOY_ID="${domain.name}", VM_NAME="${domain.name}", IMPORT_TEMPLATE="${encoded(importTemplate(domain))}" ]`,
  );
}

/** vm/monitor of 5.12 and later: what each running VM uses. */
export function machineUsageLines(domains: readonly MonitoredDomain[]): readonly string[] {
  return machinesOf(domains)
    .filter(({ domain }) => stateOf(domain) === 'running')
    .map(({ vmId, domain }) => {
      const monitor = encoded(usageOf(domain).map(([name, value]) => `${name}="${value}"`));
      return `VM = [ ID="${vmId}", UUID="${domain.uuid ?? ''}", DEPLOY_ID="${domain.name}", MONITOR="${monitor}" ]`;
    });
}

/** Letters of 4.x; a VM that is elsewhere is not mentioned. */
const pollLetters: Readonly<Record<Exclude<MachineState, 'elsewhere'>, string>> = {
  running: 'a',
  ended: 'd',
  failed: 'e',
  changing: '-',
};

/** The VMs as collectd's clients of 4.x to 5.10 send them, with the list of wild ones. */
export function collectdLines(domains: readonly MonitoredDomain[]): readonly string[] {
  const known = machinesOf(domains).flatMap(({ vmId, domain }) => {
    const state = stateOf(domain);
    if (state === 'elsewhere') return [];
    const poll = [`STATE=${pollLetters[state]}`, ...(state === 'running' ? collectdUsage(domain) : [])].join(' ');
    return `VM=[ ID=${vmId}, DEPLOY_ID="${domain.name}", VM_NAME="${domain.name}", POLL="${poll}" ]`;
  });
  const wild = wildDomains(domains).map((domain) => {
    const poll = ['STATE=a', ...collectdUsage(domain)].join(' ');
    const template = encoded(importTemplate(domain));
    return `VM=[ ID=-1, DEPLOY_ID="${domain.name}", VM_NAME="${domain.name}", IMPORT_TEMPLATE="${template}", POLL="${poll}" ]`;
  });
  return ['VM_POLL=YES', ...known, ...wild];
}

/** With the names of both 4.4 to 4.12 and 4.14 to 5.10. */
function collectdUsage(domain: MonitoredDomain): string[] {
  const usage = usageOf(domain);
  const old = usage
    .filter(([name]) => name === 'CPU' || name === 'MEMORY')
    .map(([name, value]) => `USED${name}=${value}`);
  return [...usage.map(([name, value]) => `${name}=${value}`), ...old];
}

/** CPU in percent of one CPU, memory in KiB, the rest in bytes and requests since the domain started. */
function usageOf({ cpuPercent, memoryKib, counters }: MonitoredDomain): readonly (readonly [string, string])[] {
  const values: (readonly [string, number])[] = [
    ['CPU', cpuPercent ?? 0],
    ['MEMORY', memoryKib],
  ];
  if (counters !== undefined) {
    values.push(
      ['NETRX', counters.receivedBytes],
      ['NETTX', counters.sentBytes],
      ['DISKRDBYTES', counters.readBytes],
      ['DISKWRBYTES', counters.writtenBytes],
      ['DISKRDIOPS', counters.reads],
      ['DISKWRIOPS', counters.writes],
    );
  }
  return values.map(([name, value]) => [name, wholeOrTwoDecimals(value)]);
}
