/**
 * What a toolstack's lists say. The parsers turn xl's tables into records, odd rows included; `meaningOf` says what a row
 * means, because neither a name nor the presence of a row means "this VM runs here": domains are listed while they are
 * built, while they arrive, after they left and while they are torn down.
 */
import { CxmError } from '../errors.ts';

/** One row of `xl list`. */
export interface DomainRow {
  readonly id: number;
  /** As listed; undefined (`(null)`) while the domain is torn down, and for a moment before it is built. */
  readonly name: string | undefined;
  readonly memoryMib: number;
  /** VCPUs online. */
  readonly vcpus: number;
  readonly state: DomainState;
  readonly cpuSeconds: number;
  /** Only when the list was asked with uuids. */
  readonly uuid?: string;
}

export type ShutdownCause = 'powerOff' | 'reboot' | 'suspend' | 'crash' | 'watchdog' | 'softReset' | 'unknown';

/** The six letters of the state column. All false is a domain that waits for a CPU: it runs. */
export interface DomainState {
  readonly running: boolean;
  readonly blocked: boolean;
  readonly paused: boolean;
  /** Why the domain has shut down; undefined while it has not. */
  readonly shutdown: ShutdownCause | undefined;
  readonly dying: boolean;
}

/** What `xl list -l` keeps about a domain. */
export interface DomainDetails {
  readonly id: number;
  readonly name: string | undefined;
  readonly uuid: string | undefined;
  /** pv, hvm or pvh. */
  readonly type: string | undefined;
  readonly maximumMemoryKib: number | undefined;
  readonly targetMemoryKib: number | undefined;
  readonly maximumVcpus: number | undefined;
  readonly disks: readonly { readonly target: string; readonly vdev: string; readonly readOnly: boolean }[];
  readonly nics: readonly {
    readonly index: number;
    readonly mac: string | undefined;
    readonly bridge: string | undefined;
  }[];
}

export interface HostInfo {
  readonly host: string;
  readonly cpus: number;
  readonly cpuMhz: number;
  readonly totalMemoryMib: number;
  readonly freeMemoryMib: number;
  readonly xenVersion: string;
  /** The feature words of the CPUs, as printed. */
  readonly cpuFeatures: string;
  /** Not a hypervisor but the stand-in of the sandbox. */
  readonly simulated: boolean;
  /** Every line of the output. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface VcpuRow {
  readonly name: string;
  readonly id: number;
  readonly vcpu: number;
  /** Physical CPU it is on; undefined while offline. */
  readonly cpu: number | undefined;
  readonly state: string;
  readonly cpuSeconds: number;
}

/** One row of `xl block-list`; `vdev` is the device's number (51712 is xvda). */
export interface BlockDeviceRow {
  readonly vdev: number;
  readonly backendId: number;
  readonly handle: number;
  /** xenbus state; 4 is connected. */
  readonly state: number;
  readonly backendPath: string;
}

export interface NetworkDeviceRow {
  readonly index: number;
  readonly backendId: number;
  readonly mac: string;
  readonly handle: number;
  /** xenbus state; 4 is connected. */
  readonly state: number;
  readonly backendPath: string;
}

export type DomainMeaning =
  /** The guest runs here. */
  | 'running'
  /** The guest is here, stopped by an administrator, or somebody's `xl destroy` has begun, which looks the same. */
  | 'paused'
  /** A create, restore or reboot is making it; it has not run yet. */
  | 'building'
  /** The destination of a migration that is under way or was cut off. */
  | 'incoming'
  /** The source of a migration or save at its end: the guest's state is elsewhere. */
  | 'leaving'
  /** The guest has shut down or crashed; its monitor restarts or removes the domain, if there is one. */
  | 'shutDown'
  /** Being torn down, or so new that it has no name yet. */
  | 'dying';

/**
 * xl's names while a migration is under way: NAME--incoming at the destination, NAME--migratedaway at the source after
 * the hand-over. xend's `migrating-NAME` means nothing to xl and may be the honest name of a VM.
 */
const incomingSuffix = '--incoming';
const leftSuffix = '--migratedaway';

/**
 * What the row says about the guest. A domain that was created paused and has not run yet counts as `building`: nothing
 * in the list tells the two apart.
 */
export function meaningOf(row: DomainRow): DomainMeaning {
  const { state } = row;
  if (state.dying || row.name === undefined) return 'dying';
  if (row.name.endsWith(incomingSuffix)) return 'incoming';
  if (row.name.endsWith(leftSuffix) || state.shutdown === 'suspend') return 'leaving';
  if (state.shutdown !== undefined) return 'shutDown';
  if (!state.paused) return 'running';
  return row.vcpus === 0 || row.memoryMib === 0 || row.cpuSeconds === 0 ? 'building' : 'paused';
}

/** The guest is on this host and nowhere else: it runs, or an administrator paused it. Domain 0 is no guest. */
export function runsHere(row: DomainRow): boolean {
  if (row.id === 0) return false;
  const meaning = meaningOf(row);
  return meaning === 'running' || meaning === 'paused';
}

/** The VM's own name, whatever part of a migration the row stands for. Undefined while the domain is torn down. */
export function virtualMachineName(row: DomainRow): string | undefined {
  for (const suffix of [incomingSuffix, leftSuffix]) {
    if (row.name?.endsWith(suffix) === true) return row.name.slice(0, -suffix.length);
  }
  return row.name;
}

/** Names that a VM must not have, because rows of migrations bear them. */
export function isMigrationName(name: string): boolean {
  return name.endsWith(incomingSuffix) || name.endsWith(leftSuffix);
}

/**
 * The rows that may hold a VM's disks or its name on this host: all that bear its name in any form. Torn-down rows have
 * lost theirs; `(null)` rows go away, or get their name, within seconds.
 */
export function rowsOf(rows: readonly DomainRow[], name: string): readonly DomainRow[] {
  return rows.filter((row) => row.id !== 0 && virtualMachineName(row) === name);
}

/**
 * The guest has ended and its monitor has not acted yet. A monitor pauses the domain and removes it within a second or
 * two; a row that needs its monitor for longer than `monitorGraceMs` has lost it and is destroyed by the manager.
 */
export function needsMonitor(row: DomainRow): boolean {
  return meaningOf(row) === 'shutDown' && !row.state.paused;
}

export const monitorGraceMs = 10_000;

const rowPattern =
  /^(.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s+([r-])([b-])([p-])([s-])([-rscwS?])([d-])\s+(\d+\.\d+)(?:\s+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))?(?:\s|$)/;
const shutdownCauses: Readonly<Record<string, ShutdownCause>> = {
  '-': 'powerOff',
  r: 'reboot',
  s: 'suspend',
  c: 'crash',
  w: 'watchdog',
  S: 'softReset',
};

/**
 * `xl list`, with or without -v.
 * @throws CxmError XEN for a line that is not a row: a domain overlooked is a domain started twice
 */
export function parseDomainList(text: string): readonly DomainRow[] {
  return tableRows(text, 'Name ', 'xl list').map((line) => {
    const match = rowPattern.exec(line);
    if (match === null) throw unreadable('xl list', line);
    const [, name = '', id, memory, vcpus, r, b, p, s, cause = '-', d, seconds, uuid] = match;
    return {
      id: Number(id),
      name: name === '(null)' ? undefined : name,
      memoryMib: Number(memory),
      vcpus: Number(vcpus),
      state: {
        running: r === 'r',
        blocked: b === 'b',
        paused: p === 'p',
        shutdown: s === 's' ? (shutdownCauses[cause] ?? 'unknown') : undefined,
        dying: d === 'd',
      },
      cpuSeconds: Number(seconds),
      ...(uuid === undefined ? {} : { uuid }),
    };
  });
}

/** `xl list -l`, of all domains or one. @throws CxmError XEN */
export function parseDomainDetails(text: string): readonly DomainDetails[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new CxmError('XEN', 'xl list -l did not print JSON', { cause });
  }
  return (Array.isArray(parsed) ? parsed : [parsed]).map((entry: unknown) => {
    const domain = record(entry);
    const config = record(domain['config']);
    const creation = record(config['c_info']);
    const build = record(config['b_info']);
    return {
      id: numberIn(domain, 'domid') ?? -1,
      name: textIn(creation, 'name'),
      uuid: textIn(creation, 'uuid'),
      type: textIn(creation, 'type'),
      maximumMemoryKib: numberIn(build, 'max_memkb'),
      targetMemoryKib: numberIn(build, 'target_memkb'),
      maximumVcpus: numberIn(build, 'max_vcpus'),
      disks: records(config['disks']).map((disk) => ({
        target: textIn(disk, 'pdev_path') ?? '',
        vdev: textIn(disk, 'vdev') ?? '',
        readOnly: numberIn(disk, 'readwrite') !== 1,
      })),
      nics: records(config['nics']).map((nic) => ({
        index: numberIn(nic, 'devid') ?? 0,
        mac: textIn(nic, 'mac'),
        bridge: textIn(nic, 'bridge'),
      })),
    };
  });
}

/** `xl info`. @throws CxmError XEN when a needed line is not there */
export function parseHostInfo(text: string): HostInfo {
  const fields: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^([a-z_]\w*)\s*: ?(.*)$/.exec(line);
    if (match?.[1] !== undefined) fields[match[1]] = (match[2] ?? '').trim();
  }
  const number = (name: string): number => {
    const value = Number(fields[name] ?? 'x');
    if (!Number.isFinite(value)) throw new CxmError('XEN', `xl info does not say ${name}`);
    return value;
  };
  return {
    host: fields['host'] ?? '',
    cpus: number('nr_cpus'),
    cpuMhz: number('cpu_mhz'),
    totalMemoryMib: number('total_memory'),
    freeMemoryMib: number('free_memory'),
    xenVersion: fields['xen_version'] ?? '',
    cpuFeatures: fields['hw_caps'] ?? '',
    simulated: (fields['xen_extra'] ?? '').includes('simulated'),
    fields,
  };
}

/** `xl vcpu-list`. @throws CxmError XEN */
export function parseVcpuList(text: string): readonly VcpuRow[] {
  return tableRows(text, 'Name ', 'xl vcpu-list').map((line) => {
    const match = /^(.*?)\s+(\d+)\s+(\d+)\s+(\d+|-)\s+([rbps-]{3})\s+(\d+\.\d+)\s/.exec(`${line} `);
    if (match === null) throw unreadable('xl vcpu-list', line);
    const [, name = '', id, vcpu, cpu, state = '', seconds] = match;
    const online = cpu === '-' ? undefined : Number(cpu);
    return { name, id: Number(id), vcpu: Number(vcpu), cpu: online, state, cpuSeconds: Number(seconds) };
  });
}

/** `xl block-list DOMAIN`. For an unknown domain xl prints an empty table: look at standard error. @throws CxmError XEN */
export function parseBlockList(text: string): readonly BlockDeviceRow[] {
  return tableRows(text, 'Vdev ', 'xl block-list').map((line) => {
    const [vdev, backendId, handle, state, , , backendPath, more] = line.trim().split(/\s+/);
    if (backendPath === undefined || more !== undefined) throw unreadable('xl block-list', line);
    return {
      vdev: Number(vdev),
      backendId: Number(backendId),
      handle: Number(handle),
      state: Number(state),
      backendPath,
    };
  });
}

/** `xl network-list DOMAIN`. @throws CxmError XEN */
export function parseNetworkList(text: string): readonly NetworkDeviceRow[] {
  return tableRows(text, 'Idx ', 'xl network-list').map((line) => {
    const match = /^(\d+)\s+(\d+)\s+([0-9a-f:]{17})\s+(\d+)\s+(-?\d+)\s+-?\d+\s+-?\d+\/-?\d+\s+(\S+)$/.exec(
      line.trim(),
    );
    if (match === null) throw unreadable('xl network-list', line);
    const [, index, backendId, mac = '', handle, state, backendPath = ''] = match;
    return {
      index: Number(index),
      backendId: Number(backendId),
      mac,
      handle: Number(handle),
      state: Number(state),
      backendPath,
    };
  });
}

const vdevPattern = /^(xvd|sd|hd)([a-z]{1,2})(\d{0,3})$/;

/**
 * The number a guest device has in xenstore and in `xl block-list`, as xen-vbd-interface(7) counts: 202 << 8 for xvd and so
 * on, and the extended form for xvd disks after the 16th or partitions after the 15th. Undefined for other names.
 */
export function vdevNumber(vdev: string): number | undefined {
  const match = vdevPattern.exec(vdev);
  if (match === null) return undefined;
  const [, bus = '', letters = '', partitionText = ''] = match;
  const disk = [...letters].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 96, 0) - 1;
  const partition = Number(partitionText);
  if (bus === 'hd') {
    if (disk > 3 || partition > 63) return undefined;
    return ((disk < 2 ? 3 : 22) << 8) | ((disk % 2) << 6) | partition;
  }
  if (disk < 16 && partition < 16) return ((bus === 'sd' ? 8 : 202) << 8) | (disk << 4) | partition;
  return bus === 'xvd' && partition < 256 ? (1 << 28) | (disk << 8) | partition : undefined;
}

function tableRows(text: string, header: string, command: string): readonly string[] {
  const [first = '', ...lines] = text.split('\n');
  if (!first.startsWith(header)) throw unreadable(command, first);
  return lines.filter((line) => line.trim() !== '');
}

function unreadable(command: string, line: string): CxmError {
  return new CxmError(
    'XEN',
    `${command} printed a line that is not understood: ${JSON.stringify(line.slice(0, 200))}`,
    {
      hint: 'please report it with the version of Xen',
    },
  );
}

type JsonRecord = Readonly<Record<string, unknown>>;

function record(value: unknown): JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonRecord) : {};
}

function records(value: unknown): readonly JsonRecord[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function textIn(value: JsonRecord, name: string): string | undefined {
  const found = value[name];
  return typeof found === 'string' ? found : undefined;
}

function numberIn(value: JsonRecord, name: string): number | undefined {
  const found = value[name];
  return typeof found === 'number' ? found : undefined;
}
