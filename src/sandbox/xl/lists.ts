/**
 * The tables of the simulated xl and xentop, with the columns and widths of the real ones (Xen 4.17). Domain 0 heads every
 * list of domains.
 */
import { vdevNumber } from '../../xen/domain-list.ts';
import { findDomain, parseArguments, sleep, XlFailure } from './context.ts';
import type { Command, Context } from './context.ts';
import { staleWarnings } from './devices.ts';
import { cpuSecondsOf, isConnected, listedNameOf, memoryMibOf, stateLetters, vcpusOf } from './domain.ts';
import type { SimulatedDomain } from './domain.ts';

interface Row {
  readonly name: string;
  readonly id: number;
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly state: string;
  readonly seconds: number;
  readonly uuid: string;
  readonly reason: string;
}

function domainZero(context: Context): Row {
  const seconds = (Date.now() - process.uptime() * 1000 - startOfDay()) / 1_000_000;
  const memoryMib = context.store.host.domainZeroMemoryMib;
  const uuid = '00000000-0000-0000-0000-000000000000';
  return { name: 'Domain-0', id: 0, memoryMib, vcpus: 1, state: 'r-----', seconds: 60 + seconds, uuid, reason: '-' };
}

/** Domain 0's CPU time only has to grow. */
function startOfDay(): number {
  return Math.floor(Date.now() / 86_400_000) * 86_400_000;
}

function rowOf(domain: SimulatedDomain): Row {
  const now = Date.now();
  const codes: Readonly<Record<string, string>> = { powerOff: '0', reboot: '1', suspend: '2', crash: '3' };
  return {
    name: listedNameOf(domain, now),
    id: domain.id,
    memoryMib: memoryMibOf(domain, now),
    vcpus: vcpusOf(domain, now),
    state: stateLetters(domain),
    seconds: cpuSecondsOf(domain, now),
    uuid: domain.settings.uuid,
    reason: domain.shutdown === undefined ? '-' : (codes[domain.shutdown] ?? '4'),
  };
}

function rowsFor(context: Context, references: readonly string[]): readonly Row[] {
  if (references.length === 0) return [domainZero(context), ...context.store.domains().map(rowOf)];
  return references.map((reference) =>
    reference === '0' || reference === 'Domain-0' ? domainZero(context) : rowOf(findDomain(context, reference)),
  );
}

export const list: Command = (context, args) => {
  const { options, operands } = parseArguments(args, ['l', 'v', 'Z', 'long', 'verbose', 'context']);
  if (options.has('l') || options.has('long')) return longList(context, operands);
  const verbose = options.has('v') || options.has('verbose');
  const label = verbose || options.has('Z') || options.has('context');
  const rows = rowsFor(context, operands);
  let header = 'Name                                        ID   Mem VCPUs\tState\tTime(s)';
  if (verbose) header += '   UUID                            Reason-Code\tSecurity Label';
  else if (label) header += '   Security Label';
  context.out(`${header}\n`);
  for (const row of rows) {
    const columns = [row.name.padEnd(40), pad(row.id, 5), pad(row.memoryMib, 5), pad(row.vcpus, 5)];
    let line = `${columns.join(' ')}     ${row.state}  ${row.seconds.toFixed(1).padStart(8)}`;
    if (verbose) line += ` ${row.uuid} ${row.reason.padStart(8)}`;
    if (label) line += ` ${'-'.padStart(16)}`;
    context.out(`${line}\n`);
  }
  return 0;
};

function longList(context: Context, references: readonly string[]): number {
  const domains =
    references.length === 0 ? context.store.domains() : references.map((reference) => findDomain(context, reference));
  for (const domain of domains) staleWarnings(context, domain);
  const zero = {
    domid: 0,
    config: {
      c_info: { type: 'pv', name: 'Domain-0' },
      b_info: { max_memkb: context.store.host.domainZeroMemoryMib * 1024, 'type.pv': {} },
    },
  };
  const entries = [...(references.length === 0 ? [zero] : []), ...domains.map(longEntry)];
  context.out(`${JSON.stringify(entries, null, 4)}\n\n`);
  return 0;
}

function longEntry({ id, settings, name }: SimulatedDomain): object {
  return { domid: id, config: configurationOf({ ...settings, name }) };
}

/** The JSON of libxl for a configuration, as far as it is simulated. */
export function configurationOf(settings: SimulatedDomain['settings']): object {
  return {
    c_info: {
      type: settings.type,
      name: settings.name,
      domid: 4294967295,
      uuid: settings.uuid,
      run_hotplug_scripts: 'True',
    },
    b_info: {
      max_vcpus: settings.maximumVcpus,
      avail_vcpus: Array.from({ length: settings.vcpus }, (_, index) => index),
      max_memkb: settings.maximumMemoryKib,
      target_memkb: settings.memoryKib,
      sched_params: { sched: 'credit2', weight: 256, cap: 0 },
      claim_mode: 'True',
      kernel: settings.kernel,
      cmdline: settings.cmdline,
      ramdisk: settings.ramdisk,
      [`type.${settings.type}`]: {},
    },
    disks: settings.disks.map((disk) => ({
      pdev_path: disk.target,
      vdev: disk.vdev,
      format: disk.format,
      readwrite: disk.readOnly ? 0 : 1,
    })),
    nics: settings.nics.map((nic) => ({ devid: nic.index, mac: nic.mac, bridge: nic.bridge, nictype: 'vif' })),
    on_reboot: settings.onReboot,
    on_soft_reset: 'soft_reset',
  };
}

export const vcpuList: Command = (context, args) => {
  const rows = rowsFor(context, args);
  context.out('Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n');
  for (const row of rows) {
    const maximum = context.store.get(row.id)?.settings.maximumVcpus ?? row.vcpus;
    for (let vcpu = 0; vcpu < maximum; vcpu++) {
      const online = vcpu < row.vcpus;
      const cpu = online ? String(vcpu % context.store.host.cpus) : '-';
      const state = online ? `${row.state.slice(0, 2)}-` : '--p';
      const time = (vcpu === 0 ? row.seconds : 0).toFixed(1).padStart(9);
      const columns = [row.name.padEnd(32), pad(row.id, 5), pad(vcpu, 5), pad(cpu, 4)];
      context.out(`${columns.join(' ')}   ${state} ${time}  all / all\n`);
    }
  }
  return 0;
};

export const blockList: Command = (context, args) => {
  context.out('Vdev  BE  handle state evt-ch ring-ref BE-path                       \n');
  for (const reference of args) {
    let domain: SimulatedDomain;
    try {
      domain = findDomain(context, reference, '');
    } catch (error) {
      if (!(error instanceof XlFailure)) throw error;
      for (const line of error.lines) context.say(line);
      continue;
    }
    domain.settings.disks.forEach((disk, index) => {
      const number = vdevNumber(disk.vdev) ?? 0;
      const path = `/local/domain/0/backend/vbd/${domain.id}/${number}`;
      const state = isConnected(domain, disk) ? 4 : 1;
      const columns = [pad(number, -5), pad(0, -3), pad(domain.id, -6), pad(state, -5), pad(9 + index, -6), pad(8, -8)];
      context.out(`${columns.join(' ')} ${path.padEnd(30)}\n`);
    });
  }
  return 0;
};

export const networkList: Command = (context, args) => {
  context.out('Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n');
  const domain = findDomain(context, args[0]);
  for (const nic of domain.settings.nics) {
    const path = `/local/domain/0/backend/vif/${domain.id}/${nic.index}`;
    const front = `${pad(nic.index, -3)} ${pad(0, -2)} ${nic.mac}${pad(nic.index, 6)} ${pad(4, 5)} ${pad(-1, 6)}`;
    const rings = `${pad(522, 5)}/${pad(523, -11)}`;
    context.out(`${front} ${rings} ${path.padEnd(30)}\n`);
  }
  return 0;
};

export const uptime: Command = (context, args) => {
  const { options, operands } = parseArguments(args, ['s']);
  const rows = rowsFor(context, operands);
  const clock = new Date().toTimeString().slice(0, 8);
  if (!options.has('s')) context.out('Name                                ID Uptime\n');
  for (const { name, id } of rows) {
    const since = context.store.get(id)?.createdMs ?? Date.now() - process.uptime() * 1000;
    const seconds = Math.floor((Date.now() - since) / 1000);
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    const two = (count: number): string => String(count).padStart(2, '0');
    if (options.has('s')) context.out(` ${clock} up ${pad(hours, 2)}:${two(minutes)}, ${name} (${id})\n`);
    else context.out(`${name.padEnd(33)} ${pad(id, 4)} ${pad(hours, 2)}:${two(minutes)}:${two(seconds % 60)}\n`);
  }
  return 0;
};

/** `xentop -b`: the columns the monitoring reads, with counters that grow with the guest's CPU time. */
export const xentop: Command = async (context, args) => {
  const { options } = parseArguments(args, ['b', 'i:', 'd:', 'f', 'n', 'x', 'v', 'r']);
  const iterations = Number(options.get('i') ?? '1');
  const delaySeconds = Number(options.get('d') ?? '3');
  let before = new Map<number, number>();
  for (let iteration = 0; iteration < iterations; iteration++) {
    if (iteration > 0) await sleep(delaySeconds * 1000);
    context.out(
      '      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID\n',
    );
    const now = new Map<number, number>();
    for (const row of rowsFor(context, [])) {
      const earlier = before.get(row.id);
      // Of the clock that stands for CPU time a moment may be missing: real xentop never says -0.0.
      const percent = earlier === undefined ? 0 : Math.max(0, ((row.seconds - earlier) / delaySeconds) * 100);
      now.set(row.id, row.seconds);
      context.out(`${xentopRow(context, row, percent, options.has('f'))}\n`);
    }
    before = now;
  }
  return 0;
};

function xentopRow(context: Context, row: Row, percent: number, fullName: boolean): string {
  const { memoryMib } = context.store.host;
  const settings = context.store.get(row.id)?.settings;
  const share = (kib: number): string => ((kib / 1024 / memoryMib) * 100).toFixed(1);
  const memory = row.memoryMib * 1024;
  const maximum = settings?.maximumMemoryKib ?? memory;
  const letters = row.state;
  const state = `--${letters[1] === 'b' ? 'b' : '-'}-${letters[2] === 'p' ? 'p' : '-'}${letters[0] === 'r' ? 'r' : '-'}`;
  const busy = row.id === 0 ? 0 : Math.floor(row.seconds * 10);
  const name = fullName ? row.name : row.name.slice(0, 10);
  const columns = [
    [name, 10],
    [state, 6],
    [Math.floor(row.seconds), 10],
    [percent.toFixed(1), 6],
    [memory, 10],
    [share(memory), 6],
    [maximum, 10],
    [share(maximum), 9],
    [settings?.maximumVcpus ?? row.vcpus, 5],
    [settings?.nics.length ?? 0, 4],
    [busy, 8],
    [busy * 2, 8],
    [settings?.disks.length ?? 0, 4],
    [0, 8],
    [busy * 3, 8],
    [busy * 4, 8],
    [busy * 24, 10],
    [busy * 32, 10],
    [0, 4],
  ] as const;
  return columns.map(([value, width]) => pad(value, width)).join(' ');
}

/** A negative width pads on the right. */
function pad(value: string | number, width: number): string {
  return width < 0 ? String(value).padEnd(-width) : String(value).padStart(width);
}
