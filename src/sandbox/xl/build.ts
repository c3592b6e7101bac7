/**
 * Making a domain and taking it away, in the order real xl goes about it: name, disks, kernel, memory, then the time it
 * takes, then the disks' and the interfaces' scripts. A failure says what xl says, uses up an id, and leaves nothing.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { sleep, XlFailure } from './context.ts';
import type { Context } from './context.ts';
import { devicePath } from './device-path.ts';
import { isConnected, neverRan, settledCpu, startedCpu } from './domain.ts';
import type { DomainSettings, GuestState, Holder, SimulatedDisk, SimulatedDomain } from './domain.ts';
import { startGuest, stopGuest } from './guest-program.ts';
import { holdDisks, releaseDisks, thisProcess } from './holder.ts';

export interface BuildOptions {
  readonly listedName?: string;
  readonly durationMs: number;
  readonly paused: boolean;
  readonly monitored: boolean;
  readonly guest: GuestState;
}

export function freshGuest(): GuestState {
  return { bootId: randomUUID(), moves: 0 };
}

/** All of it. @throws XlFailure with exit code 3 */
export async function buildDomain(context: Context, settings: DomainSettings, options: BuildOptions) {
  const { id } = beginDomain(context, settings, options);
  if (options.durationMs > 0) await sleep(options.durationMs);
  return finishDomain(context, id, options);
}

/** The part up to the memory: the domain is listed as being built. @throws XlFailure */
export function beginDomain(context: Context, settings: DomainSettings, options: BuildOptions): SimulatedDomain {
  const { store } = context;
  return store.locked(() => {
    const id = store.nextId();
    const name = options.listedName ?? settings.name;
    if (store.domains().some((domain) => domain.name === name)) {
      throw new XlFailure(
        3,
        nameTakenLine(id, name),
        `libxl: error: libxl_create.c:1296:initiate_domain_create: Domain ${id}:cannot make domain: -6`,
        ...destructionLines(id),
      );
    }
    checkDisks(id, settings.disks);
    if (!store.knobs.ignoreMissingKernel) checkKernel(id, settings);
    if (settings.memoryKib > store.freeMemoryKib()) throw new XlFailure(3, ...memoryLines(id), ...destructionLines(id));
    const now = Date.now();
    const domain: SimulatedDomain = {
      id,
      name,
      settings,
      guest: options.guest,
      hostBootId: store.hostBootId,
      holders: [],
      paused: options.paused,
      shutdown: undefined,
      building: { by: thisProcess(), sinceMs: now, durationMs: options.durationMs },
      monitored: options.monitored,
      createdMs: now,
      cpu: startedCpu(now),
    };
    store.put(domain);
    return domain;
  });
}

/** The devices, then the domain runs or waits paused. @throws XlFailure; the domain is taken away then */
export function finishDomain(context: Context, id: number, options: BuildOptions): SimulatedDomain {
  const domain = attachDevices(context, id);
  const now = Date.now();
  return context.store.locked(() => {
    const built = context.store.get(id) ?? domain;
    const finished = {
      ...built,
      building: undefined,
      paused: options.paused,
      cpu: options.paused ? neverRan(now) : startedCpu(now),
    };
    context.store.put(finished);
    return finished;
  });
}

/** Opens the disks for a domain that is being built, and looks for its bridges. @throws XlFailure */
export function attachDevices(context: Context, id: number): SimulatedDomain {
  const { store } = context;
  return store.locked(() => {
    const domain = store.get(id);
    if (domain === undefined) throw new XlFailure(3, `libxl: error: Domain ${id}:Non-existant domain`);
    try {
      for (const disk of domain.settings.disks) checkUnused(context, disk, id);
      checkBridges(context, domain);
    } catch (error) {
      store.remove(id);
      throw error;
    }
    const attached = { ...domain, holders: [openDisks(domain.settings.disks)] };
    store.put(attached);
    const { guestProgram } = store.knobs;
    if (guestProgram === '') return attached;
    const begun = { ...attached, holders: [...attached.holders, startGuest(guestProgram, domain)] };
    store.put(begun);
    return begun;
  });
}

/** What `xl destroy` does: for a while the domain is still listed, paused, at first under its name and then without one. */
export async function tearDown(context: Context, id: number): Promise<void> {
  const { destroyMs } = context.store.knobs;
  if (destroyMs > 0) {
    stopGuest(context.store.get(id));
    context.store.update(id, (domain) => ({ ...domain, cpu: settledCpu(domain, Date.now()), paused: true }));
    await sleep(destroyMs / 2);
    context.store.update(id, (domain) => ({ ...domain, name: '(null)' }));
    await sleep(destroyMs / 2);
  }
  await removeDomain(context, id);
}

/** Lets the disks go and forgets the domain. */
export async function removeDomain(context: Context, id: number): Promise<void> {
  const holders = context.store.get(id)?.holders ?? [];
  for (const holder of holders) await releaseDisks(holder);
  context.store.locked(() => context.store.remove(id));
}

/** @throws XlFailure in libxl's words when a file can't be opened */
export function openDisks(disks: readonly SimulatedDisk[]): Holder {
  try {
    return holdDisks(disks);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new XlFailure(3, `libxl: error: libxl_device.c:1337:device_hotplug_child_death_cb: script: ${reason}`);
  }
}

export function nameTakenLine(id: number, name: string): string {
  return `libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain ${id}:Domain with name "${name}" already exists.`;
}

export function missingDiskLine(disk: SimulatedDisk): string {
  const reason = 'No such file or directory';
  return `libxl: error: libxl_device.c:455:libxl__device_disk_set_backend: Disk vdev=${disk.vdev} failed to stat: ${disk.target}: ${reason}`;
}

export function destructionLines(id: number): readonly string[] {
  return [
    `libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain ${id}:Non-existant domain`,
    `libxl: error: libxl_domain.c:1137:domain_destroy_callback: Domain ${id}:Unable to destroy guest`,
    `libxl: error: libxl_domain.c:1064:domain_destroy_cb: Domain ${id}:Destruction of domain failed`,
  ];
}

function checkDisks(id: number, disks: readonly SimulatedDisk[]): void {
  disks.forEach((disk, index) => {
    if (disk.target === '' || existsSync(devicePath(disk.target))) return;
    throw new XlFailure(
      3,
      missingDiskLine(disk),
      `libxl: error: libxl_create.c:1318:initiate_domain_create: Domain ${id}:Unable to set disk defaults for disk ${index}`,
      ...destructionLines(id),
    );
  });
}

function checkKernel(id: number, settings: DomainSettings): void {
  for (const [file, what] of [
    [settings.kernel, 'kernel'],
    [settings.ramdisk, 'ramdisk'],
  ] as const) {
    if (file === undefined || existsSync(file)) continue;
    throw new XlFailure(
      3,
      `xc: error: panic: xg_dom_core.c:205: failed to open file '${file}': No such file or directory: Internal error`,
      `libxl: error: libxl_dom.c:646:libxl__build_pv: xc_dom_${what}_file failed: No such file or directory`,
      `libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain ${id}:cannot (re-)build domain: -3`,
      ...destructionLines(id),
    );
  }
}

function memoryLines(id: number): readonly string[] {
  return [
    "xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can't allocate low memory for domain: Out of memory",
    'libxl: error: libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: Cannot allocate memory',
    `libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain ${id}:cannot (re-)build domain: -3`,
  ];
}

/** The block script's rule: on one host a disk is in one guest, unless both only read. @throws XlFailure */
export function checkUnused(context: Context, disk: SimulatedDisk, id: number): void {
  if (disk.target === '') return;
  const wanted = identityOf(disk.target);
  for (const other of context.store.domains()) {
    if (other.id === id) continue;
    const clash = other.settings.disks.some(
      (held) =>
        isConnected(other, held) &&
        held.target !== '' &&
        !(held.readOnly && disk.readOnly) &&
        identityOf(held.target) === wanted,
    );
    if (!clash) continue;
    throw new XlFailure(
      3,
      `libxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: /etc/xen/scripts/block add [${process.pid}] exited with error status 1`,
      `libxl: error: libxl_device.c:1337:device_hotplug_child_death_cb: script: Device ${disk.target} is mounted in a guest domain,`,
      'and so cannot be mounted now.',
      `libxl: error: libxl_create.c:1672:domcreate_launch_dm: Domain ${id}:unable to add disk devices`,
      ...destructionLines(id),
    );
  }
}

/** A device by its number, a file by its inode: names and links don't matter. */
function identityOf(path: string): string {
  let found: Stats;
  try {
    found = statSync(devicePath(path));
  } catch {
    return path;
  }
  return found.isBlockDevice() ? `device ${found.rdev}` : `file ${found.dev} ${found.ino}`;
}

export function hasBridge(context: Context, bridge: string): boolean {
  const { bridges } = context.store.host;
  return bridges.length === 0 || bridges.includes(bridge);
}

export function bridgeLines(bridge: string, step: 'online' | 'offline'): readonly string[] {
  return [
    `libxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: /etc/xen/scripts/vif-bridge ${step} [${process.pid}] exited with error status 1`,
    `libxl: error: libxl_device.c:1337:device_hotplug_child_death_cb: script: Could not find bridge device ${bridge}`,
  ];
}

function checkBridges(context: Context, domain: SimulatedDomain): void {
  const missing = domain.settings.nics.find((nic) => !hasBridge(context, nic.bridge));
  if (missing === undefined) return;
  throw new XlFailure(
    3,
    ...bridgeLines(missing.bridge, 'online'),
    `libxl: error: libxl_create.c:1921:domcreate_attach_devices: Domain ${domain.id}:unable to add vif devices`,
    ...bridgeLines(missing.bridge, 'offline'),
    ...destructionLines(domain.id),
  );
}
