/**
 * Disks, interfaces, memory and VCPUs of a running domain. An attach whose hotplug script fails leaves the device with the
 * guest, as libxl does, which has written it to xenstore by then: an interface on no bridge, a disk that is not connected.
 * Both are listed, and a later migration takes them along and fails over them. Of an interface that was detached libxl's
 * saved configuration keeps a record, which it only warns of.
 */
import { existsSync } from 'node:fs';
import { vdevNumber } from '../../xen/domain-list.ts';
import { bridgeLines, checkUnused, hasBridge, missingDiskLine, openDisks } from './build.ts';
import { readDisk, readNic } from './configuration.ts';
import { findDomain, parseArguments, XlFailure } from './context.ts';
import type { Command, Context } from './context.ts';
import { devicePath } from './device-path.ts';
import type { DomainSettings, SimulatedDomain } from './domain.ts';
import { releaseDisks } from './holder.ts';

export const blockAttach: Command = (context, args) => {
  const [reference, ...pieces] = args;
  const { id } = findDomain(context, reference, '');
  const disk = readDisk(pieces.join(','), 'command line');
  const notAdded = ['libxl: error: libxl_device.c:1486:device_addrm_aocomplete: unable to add device', blockAddFailed];
  context.store.locked(() => {
    const domain = findDomain(context, String(id));
    if (domain.settings.disks.some((held) => held.vdev === disk.vdev)) {
      const line = `libxl: error: libxl_disk.c:343:device_disk_add: Domain ${id}:device already exists in xenstore`;
      throw new XlFailure(1, line, ...notAdded);
    }
    if (disk.target !== '' && !existsSync(devicePath(disk.target)))
      throw new XlFailure(1, missingDiskLine(disk), ...notAdded);
    const attached = withSettings(domain, { disks: [...domain.settings.disks, disk] });
    context.store.put(attached);
    try {
      checkUnused(context, disk, id);
      context.store.put({ ...attached, holders: [...domain.holders, openDisks([disk])] });
    } catch (error) {
      if (!(error instanceof XlFailure)) throw error;
      const device = `${id}:Unable to add vbd with id ${vdevNumber(disk.vdev) ?? 0}`;
      const line = `libxl: error: libxl_device.c:1481:device_addrm_aocomplete: Domain ${device}`;
      throw new XlFailure(1, ...error.lines.slice(0, 3), line, blockAddFailed);
    }
  });
  return 0;
};

const blockAddFailed = 'libxl_device_disk_add failed.';

export const blockDetach: Command = async (context, args) => {
  const { operands } = parseArguments(args, ['force']);
  const [reference, device = ''] = operands;
  const { id } = findDomain(context, reference);
  const current = findDomain(context, String(id));
  const disk = current.settings.disks.find((held) => held.vdev === device || String(vdevNumber(held.vdev)) === device);
  if (disk === undefined) {
    throw new XlFailure(
      1,
      `libxl: error: libxl_disk.c:516:libxl__disk_from_xenstore: disk /libxl/${id}/device/vbd/${vdevNumber(device) ?? device} does not exist (no backend path`,
      `Error: Device ${device} not connected.`,
    );
  }
  const holder = current.holders.find((candidate) => candidate.vdevs.includes(disk.vdev));
  const stay = current.settings.disks.filter((held) => held.vdev !== disk.vdev);
  const rest = stay.filter((held) => holder?.vdevs.includes(held.vdev) === true);
  context.store.update(id, (domain) => ({
    ...withSettings(domain, { disks: stay }),
    // The first holder may have more disks than this one: a new one takes them over before the old one ends.
    holders: [...domain.holders.filter((other) => other.pid !== holder?.pid), openDisks(rest)],
  }));
  if (holder !== undefined) await releaseDisks(holder);
  return 0;
};

export const networkAttach: Command = (context, args) => {
  const [reference, ...pieces] = args;
  const { id } = findDomain(context, reference);
  const bridge = context.store.host.bridges[0] ?? 'xenbr0';
  const index = findDomain(context, String(id)).settings.nics.reduce((next, nic) => Math.max(next, nic.index + 1), 0);
  const nic = readNic(pieces.join(','), index, bridge);
  const connected = hasBridge(context, nic.bridge);
  context.store.update(id, (domain) => withSettings(domain, { nics: [...domain.settings.nics, nic] }));
  if (!connected) {
    throw new XlFailure(
      1,
      ...bridgeLines(nic.bridge, 'online'),
      `libxl: error: libxl_device.c:1481:device_addrm_aocomplete: Domain ${id}:Unable to add vif with id ${index}`,
      'libxl_device_nic_add failed.',
    );
  }
  return 0;
};

export const networkDetach: Command = (context, args) => {
  const [reference, device = ''] = args;
  const { id, settings } = findDomain(context, reference);
  const byMac = device.includes(':');
  const nic = settings.nics.find((held) => (byMac ? held.mac === device.toLowerCase() : String(held.index) === device));
  if (nic === undefined) {
    const missing = `libxl: error: libxl_xshelp.c:206:libxl__xs_read_mandatory: xenstore read failed: \`/libxl/${id}/device/vif/${device}': No such file or directory`;
    throw new XlFailure(1, ...(byMac ? [] : [missing]), `Unknown device ${device}.`);
  }
  if (!hasBridge(context, nic.bridge)) for (const line of bridgeLines(nic.bridge, 'offline')) context.say(line);
  context.store.update(id, (domain) => ({
    ...withSettings(domain, { nics: domain.settings.nics.filter((held) => held.index !== nic.index) }),
    staleNics: [...new Set([...(domain.staleNics ?? []), nic.index])],
  }));
  return 0;
};

export const setMemory: Command = (context, args) => {
  const { id, settings } = findDomain(context, args[0]);
  const kib = memoryKib(args[1] ?? '');
  if (kib > settings.maximumMemoryKib) {
    throw new XlFailure(
      1,
      `libxl: error: libxl_mem.c:278:libxl_set_memory_target: Domain ${id}:memory_dynamic_max must be less than or equal to memory_static_max`,
      '',
      `cannot set domid ${id} dynamic max memory to : ${args[1] ?? ''}`,
    );
  }
  context.store.update(id, (domain) => withSettings(domain, { memoryKib: kib }));
  return 0;
};

export const setMaximumMemory: Command = (context, args) => {
  const { id } = findDomain(context, args[0]);
  const kib = memoryKib(args[1] ?? '');
  context.store.update(id, (domain) => withSettings(domain, { maximumMemoryKib: kib }));
  return 0;
};

/** Megabytes without a unit, as xl takes it. */
function memoryKib(text: string): number {
  const match = /^(\d+)([bkmgt]?)b?$/i.exec(text);
  if (match === null) throw new XlFailure(1, `invalid memory size: ${text}`);
  const kibOf: Readonly<Record<string, number>> = { b: 1 / 1024, k: 1, m: 1024, g: 1024 ** 2, t: 1024 ** 3 };
  return Math.floor(Number(match[1]) * (kibOf[(match[2] ?? '').toLowerCase()] ?? 1024));
}

export const setVcpus: Command = (context, args) => {
  const { options, operands } = parseArguments(args, ['i', 'ignore-host']);
  const { id, settings } = findDomain(context, operands[0]);
  const count = Number(operands[1]);
  if (!Number.isInteger(count) || count < 1) throw new XlFailure(1, 'Error: Invalid argument.');
  const { cpus } = context.store.host;
  if (count > cpus && options.size === 0) {
    throw new XlFailure(
      1,
      `You are overcommmitting! You have ${cpus} physical CPUs and want ${count} vCPUs! Aborting, use --ignore-host to continue`,
    );
  }
  if (count > settings.maximumVcpus) {
    throw new XlFailure(
      1,
      `libxl: error: libxl_domain.c:1836:libxl_set_vcpuonline: Domain ${id}:Requested ${count} VCPUs, however maxcpus is ${settings.maximumVcpus}!`,
      `libxl_set_vcpuonline failed domid=${id} max_vcpus=${count}, rc: -6`,
    );
  }
  context.store.update(id, (domain) => withSettings(domain, { vcpus: count }));
  return 0;
};

function withSettings(domain: SimulatedDomain, changes: Partial<DomainSettings>): SimulatedDomain {
  return { ...domain, settings: { ...domain.settings, ...changes } };
}

/** The lines that libxl writes about interfaces that are in its saved configuration and not there. */
export function staleWarnings(context: Context, domain: SimulatedDomain): void {
  for (const index of domain.staleNics ?? []) {
    if (domain.settings.nics.some((nic) => nic.index === index)) continue;
    context.say(
      `libxl: warning: libxl_domain.c:2603:retrieve_domain_configuration_end: Domain ${domain.id}:Device present in JSON but not in xenstore, ignored`,
    );
  }
}
