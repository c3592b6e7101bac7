/**
 * monitor: one look at the whole host. `xl list` once, and what else was asked for once each (`xl info`, `xentop`,
 * `xl list -l`), however many domains there are; the caller gets it as data and words it for its version of OpenNebula.
 * When xl fails there is no result at all, never one with domains missing. Without xentop the counters are missing, and
 * nothing else.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { asCxmError, CxmError } from '../../errors.ts';
import { domainSettings } from '../../one/domain/deployment.ts';
import { vmIdOfDevice } from '../../one/domain/render.ts';
import { nameFault } from '../../xen/domain-name.ts';
import {
  meaningOf,
  virtualMachineName,
  type DomainDetails,
  type DomainMeaning,
  type DomainRow,
  type ShutdownCause,
} from '../../xen/domain-list.ts';
import {
  baselineOf,
  cpuPercent,
  cpuReading,
  formatCpuHistory,
  hostCpuPercent,
  parseCpuHistory,
  withReading,
  type CpuHistory,
  type CpuReading,
} from '../../xen/metrics.ts';
import { countersOf, parseXentop, type DomainCounters, type DomainUsage } from '../../xen/xentop.ts';
import type { Operation } from '../operation.ts';
import { flag } from '../parameters.ts';
import { domainHost, type DomainHost } from './domain-host.ts';

/** What to look at besides the list of domains. */
export interface MonitorParameters {
  /** CPUs and memory of the host. */
  readonly host: boolean;
  /** What the domains have sent, received, read and written. */
  readonly usage: boolean;
}

export interface MonitoredHost {
  readonly cpus: number;
  readonly cpuMhz: number;
  readonly totalMemoryKib: number;
  readonly freeMemoryKib: number;
  readonly xenVersion: string;
  /** As uname says it: x86_64. */
  readonly machine: string;
  /** Of all domains, domain 0 included; 100 is one full CPU. Undefined until there is an earlier reading. */
  readonly cpuPercent?: number;
}

/** A domain other than domain 0. Those being torn down have lost their name and are left out. */
export interface MonitoredDomain {
  readonly id: number;
  /** The VM's own name, whatever a migration has appended. */
  readonly name: string;
  readonly uuid?: string;
  readonly meaning: DomainMeaning;
  /** Why it has shut down. */
  readonly shutdown?: ShutdownCause;
  /** Which VM of OpenNebula it is, and what says so; undefined for a domain of somebody else. */
  readonly vm?: { readonly id: number; readonly by: 'marker' | 'disks' | 'name' };
  readonly vcpus: number;
  readonly memoryKib: number;
  /** 100 is one full CPU. Undefined until there is an earlier reading. */
  readonly cpuPercent?: number;
  readonly counters?: DomainCounters;
}

export interface MonitorResult {
  readonly host?: MonitoredHost;
  readonly domains: readonly MonitoredDomain[];
}

/** What a look needs of a host. */
export type MonitoringHost = Pick<
  DomainHost,
  'settings' | 'toolstack' | 'commands' | 'files' | 'runDirectory' | 'log'
> & {
  /** Seconds since the host started. */
  uptimeSeconds(): number;
};

export const monitor: Operation<MonitorParameters, MonitorResult> = {
  name: 'monitor',
  parse: (parameters) => ({ host: flag(parameters, 'host'), usage: flag(parameters, 'usage') }),
  run: (context, parameters) => look({ ...domainHost(context), uptimeSeconds }, parameters),
};

/** @throws CxmError XEN, TIMEOUT, COMMAND when xl does not answer as it should */
export async function look(host: MonitoringHost, parts: MonitorParameters): Promise<MonitorResult> {
  const [{ rows, now }, info, usage] = await Promise.all([
    readRows(host),
    parts.host ? host.toolstack.info() : undefined,
    parts.usage ? readUsage(host) : undefined,
  ]);
  const history = readHistory(host);
  const baseline = baselineOf(history, now);
  saveHistory(host, history, cpuReading(rows, now));
  const guests = rows.filter((row) => row.id !== 0 && row.name !== undefined);
  const identities = await identify(host, guests);
  const domains = guests.map((row) => {
    const counters = usage === undefined ? undefined : countersOf(row, usage);
    const vm = identities.get(row.id);
    return {
      ...describe(row),
      ...(vm === undefined ? {} : { vm }),
      ...(baseline === undefined ? {} : { cpuPercent: cpuPercent(row, baseline, now) }),
      ...(counters === undefined ? {} : { counters }),
    };
  });
  if (info === undefined) return { domains };
  const described = {
    cpus: info.cpus,
    cpuMhz: info.cpuMhz,
    totalMemoryKib: info.totalMemoryMib * 1024,
    freeMemoryKib: info.freeMemoryMib * 1024,
    xenVersion: info.xenVersion,
    machine: info.fields['machine'] ?? '',
    ...(baseline === undefined ? {} : { cpuPercent: hostCpuPercent(rows, info.cpus, baseline, now) }),
  };
  return { host: described, domains };
}

/** The list and the moment it was taken. */
async function readRows(host: MonitoringHost): Promise<{ rows: readonly DomainRow[]; now: number }> {
  const rows = await host.toolstack.list();
  return { rows, now: host.uptimeSeconds() };
}

function describe(row: DomainRow): Omit<MonitoredDomain, 'vm' | 'cpuPercent' | 'counters'> {
  return {
    id: row.id,
    name: virtualMachineName(row) ?? '',
    ...(row.uuid === undefined ? {} : { uuid: row.uuid }),
    meaning: meaningOf(row),
    ...(row.state.shutdown === undefined ? {} : { shutdown: row.state.shutdown }),
    vcpus: row.vcpus,
    memoryKib: row.memoryMib * 1024,
  };
}

type Identity = NonNullable<MonitoredDomain['vm']>;

/**
 * By domain id: the VM that the marked configuration of that name names, else the one whose volume the domain holds
 * (a VM that came here without its configuration), else that of a name as the drivers of old give it. Only domains
 * without a marker make a second look necessary.
 */
async function identify(host: MonitoringHost, guests: readonly DomainRow[]): Promise<Map<number, Identity>> {
  const identities = new Map<number, Identity>();
  for (const row of guests) {
    const marked = markedVm(host, virtualMachineName(row) ?? '');
    if (marked !== undefined) identities.set(row.id, { id: marked, by: 'marker' });
  }
  const others = guests.filter(({ id }) => !identities.has(id));
  const details = others.length === 0 ? [] : await host.toolstack.details();
  for (const row of others) {
    const byDisks = vmOfDisks(
      details.find(({ id }) => id === row.id),
      host,
    );
    const byName = /^one-(0|[1-9]\d{0,8})$/.exec(virtualMachineName(row) ?? '')?.[1];
    if (byDisks !== undefined) identities.set(row.id, { id: byDisks, by: 'disks' });
    else if (byName !== undefined) identities.set(row.id, { id: Number(byName), by: 'name' });
  }
  return identities;
}

function markedVm(host: MonitoringHost, name: string): number | undefined {
  if (nameFault(name) !== undefined) return undefined;
  const owner = host.files.vmIdOf(name);
  return owner === 'unmarked' ? undefined : owner;
}

/** The VM whose volumes `<LV_PREFIX>-<VM id>-<disk id>` the domain holds, if they are one VM's. */
function vmOfDisks(details: DomainDetails | undefined, { settings }: MonitoringHost): number | undefined {
  const names = domainSettings(settings);
  const ids = new Set((details?.disks ?? []).flatMap(({ target }) => vmIdOfDevice(target, names) ?? []));
  return ids.size === 1 ? [...ids][0] : undefined;
}

async function readUsage(host: MonitoringHost): Promise<readonly DomainUsage[]> {
  try {
    const { stdout } = await host.commands.run('xentop', ['-b', '-f', '-i', '1'], { timeoutMs: 30_000 });
    return parseXentop(stdout).at(-1) ?? [];
  } catch (error) {
    host.log('WARN', `network and disk counters are missing: ${asCxmError(error).message}`);
    return [];
  }
}

/** In root's own directory, which a restart of the host empties: so do the counters begin anew. */
function historyPath({ runDirectory }: MonitoringHost): string {
  return `${runDirectory}/cpu-history.json`;
}

function readHistory(host: MonitoringHost): CpuHistory {
  try {
    return parseCpuHistory(readFileSync(historyPath(host), 'utf8'));
  } catch {
    return [];
  }
}

/** A history that can't be kept costs the rates, not the report. */
function saveHistory(host: MonitoringHost, history: CpuHistory, reading: CpuReading): void {
  const next = withReading(history, reading);
  if (next === history) return;
  const temporary = `${historyPath(host)}.${process.pid}`;
  try {
    mkdirSync(host.runDirectory, { recursive: true, mode: 0o711 });
    rmSync(temporary, { force: true });
    writeFileSync(temporary, formatCpuHistory(next), { flag: 'wx', mode: 0o600 });
    renameSync(temporary, historyPath(host));
  } catch (error) {
    discard(temporary);
    host.log('WARN', `CPU rates are missing: ${asCxmError(error).message}`);
  }
}

function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The directory is missing or no directory: then there is nothing to discard.
  }
}

export function uptimeSeconds(): number {
  const seconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  if (Number.isFinite(seconds)) return seconds;
  throw new CxmError('IO', '/proc/uptime does not say how long this host is up');
}
