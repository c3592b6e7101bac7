/**
 * Disks and network interfaces of a running domain come and go. Each step can be repeated, and what the domain has is
 * written to its configuration, too, so that a restart on any host finds it.
 */
import { existsSync } from 'node:fs';
import { asCxmError, CxmError } from '../../errors.ts';
import type { DomainDisk, DomainNic } from '../../one/domain/description.ts';
import { nicSpec } from '../../one/domain/devices.ts';
import { diskDevice, diskIdOfDevice, diskLine, diskSpec } from '../../one/domain/render.ts';
import { parseDomainConfig, type ConfigValue, type DomainConfig } from '../../xen/config-file.ts';
import { parseDiskSpec } from '../../xen/disk.ts';
import { vdevNumber, type BlockDeviceRow } from '../../xen/domain-list.ts';
import { formatNicSpec, parseNicSpec } from '../../xen/nic.ts';
import { withDomainHeld } from './domain-hold.ts';
import type { DomainHost } from './domain-host.ts';
import { requireRunning, volumeNames } from './domain-lookup.ts';
import type { DomainParameters } from './domain-parameters.ts';
import { activateVolumes, deactivateVolumes, requireVolume, volumesOf } from './domain-volumes.ts';

/** xenbus: both ends are there. */
const connectedState = 4;
const connectMs = 5000;

export interface AttachDiskParameters extends DomainParameters {
  readonly disk: DomainDisk;
}

export function attachDisk(host: DomainHost, { vmId, deployId, disk }: AttachDiskParameters): Promise<object> {
  return withDomainHeld(host, { vmId, deployId }, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId);
    const names = volumeNames(host);
    const device = diskDevice(vmId, disk.diskId, names);
    if (!(await holds(host, { vmId, name, domainId: row.id, target: disk.target }, device))) {
      const activated = await activateVolumes(host, vmId, [disk.diskId], 'exclusive');
      try {
        await host.toolstack.blockAttach(row.id, diskSpec(disk, vmId, names));
      } catch (error) {
        await takeOutDisk(host, row.id, disk.target).catch((cause: unknown) => {
          const why = asCxmError(cause).message;
          host.log('WARN', `${device} is left with domain ${row.id} at ${disk.target}, unconnected: ${why}`);
        });
        await deactivateVolumes(host, activated);
        throw error;
      }
    }
    editConfiguration(host, vmId, name, (config) =>
      setItem(config, 'disk', targetOf, disk.target, diskLine(disk, vmId, names)),
    );
    return {};
  });
}

interface Place {
  readonly vmId: number;
  readonly name: string;
  readonly domainId: number;
  readonly target: string;
}

/**
 * Whether the guest has this device at that target. What an attach that failed or was cut off has left there is taken
 * out: xl lists it as a disk, but nothing connects it any more.
 * @throws CxmError INVALID_INPUT when another disk is there
 */
async function holds(host: DomainHost, place: Place, device: string): Promise<boolean> {
  const { vmId, name, domainId, target } = place;
  const held = (await disksOf(host, name)).find(({ vdev }) => vdev === target);
  if (held === undefined) return false;
  if (held.target === device) {
    if (await connects(host, domainId, target)) return true;
  } else if (!(await isGone(host, vmId, held.target)) || (await connects(host, domainId, target))) {
    throw new CxmError('INVALID_INPUT', `${name} has another disk at ${target}: ${held.target}`, {
      hint: 'give the disk another TARGET or DEV_PREFIX',
    });
  }
  host.log('WARN', `an earlier attach has left ${held.target} with ${name} at ${target}, unconnected: it is taken out`);
  await takeOutDisk(host, domainId, target);
  return false;
}

/** A disk of the VM whose volume is not there any more. An emulated disk may be in use without being connected. */
async function isGone(host: DomainHost, vmId: number, device: string): Promise<boolean> {
  const diskId = diskIdOfDevice(device, vmId, volumeNames(host));
  return diskId !== undefined && !(await volumesOf(host, vmId)).has(diskId);
}

/** A guest connects to a new disk within a second, if it does at all. */
async function connects(host: DomainHost, domainId: number, target: string): Promise<boolean> {
  const giveUp = host.clock.now() + connectMs;
  while ((await deviceAt(host, domainId, target))?.state !== connectedState) {
    if (host.clock.now() >= giveUp) return false;
    await host.clock.sleep(500);
  }
  return true;
}

async function deviceAt(
  { toolstack }: DomainHost,
  domainId: number,
  target: string,
): Promise<BlockDeviceRow | undefined> {
  return (await toolstack.blockList(domainId)).find(({ vdev }) => vdev === vdevNumber(target));
}

/**
 * libxl cleans up after a removal only: a disk whose attach failed stays, would pass for attached when the action is run
 * again, keeps its target, and lets a later migration fail. A guest that was never connected does not let go by itself.
 */
async function takeOutDisk(host: DomainHost, domainId: number, target: string): Promise<void> {
  if ((await deviceAt(host, domainId, target)) === undefined) return;
  try {
    await host.toolstack.blockDetach(domainId, target);
  } catch (error) {
    host.log('INFO', `${asCxmError(error).message}: it is taken out by force`);
    if ((await deviceAt(host, domainId, target)) === undefined) return;
    await host.toolstack.blockDetach(domainId, target, { force: true });
  }
}

export interface DetachDiskParameters extends DomainParameters {
  readonly diskId: number;
  readonly target: string;
}

export function detachDisk(host: DomainHost, parameters: DetachDiskParameters): Promise<object> {
  const { vmId, deployId, diskId, target } = parameters;
  return withDomainHeld(host, { vmId, deployId }, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId);
    const held = (await disksOf(host, name)).find(({ vdev }) => vdev === target);
    if (held !== undefined) {
      if (diskIdOfDevice(held.target, vmId, volumeNames(host)) !== diskId) {
        throw new CxmError('FOREIGN', `${name} has ${held.target} at ${target}, which is not disk ${diskId}`);
      }
      await host.toolstack.blockDetach(row.id, target);
    }
    editConfiguration(host, vmId, name, (config) => setItem(config, 'disk', targetOf, target, undefined));
    const volume = await requireVolume(host, vmId, diskId).catch(() => undefined);
    if (volume?.active === true) await deactivateVolumes(host, [volume.name]);
    return {};
  });
}

export interface AttachNicParameters extends DomainParameters {
  readonly nic: DomainNic;
}

export function attachNic(host: DomainHost, { vmId, deployId, nic }: AttachNicParameters): Promise<object> {
  return withDomainHeld(host, { vmId, deployId }, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId);
    const present = (await host.toolstack.networkList(row.id)).some(({ mac }) => mac === nic.mac);
    if (!present) {
      await requireBridge(host, nic.bridge);
      try {
        await host.toolstack.networkAttach(row.id, nicSpec(nic));
      } catch (error) {
        await takeOut(host, row.id, nic.mac);
        throw error;
      }
    }
    editConfiguration(host, vmId, name, (config) =>
      setItem(config, 'vif', macOf, nic.mac, formatNicSpec(nicSpec(nic))),
    );
    return {};
  });
}

export interface DetachNicParameters extends DomainParameters {
  readonly mac: string;
}

export function detachNic(host: DomainHost, { vmId, deployId, mac }: DetachNicParameters): Promise<object> {
  return withDomainHeld(host, { vmId, deployId }, async () => {
    const { name, row } = await requireRunning(host, vmId, deployId);
    const present = (await host.toolstack.networkList(row.id)).find((nic) => nic.mac === mac);
    if (present !== undefined) await host.toolstack.networkDetach(row.id, present.index);
    editConfiguration(host, vmId, name, (config) => setItem(config, 'vif', macOf, mac, undefined));
    return {};
  });
}

/** Changes the configuration, if this host has one of ours. */
export function editConfiguration(
  host: DomainHost,
  vmId: number,
  name: string,
  change: (config: DomainConfig) => void,
): void {
  const text = host.files.vmIdOf(name) === vmId ? host.files.read(name) : undefined;
  if (text === undefined) {
    host.log('WARN', `there is no configuration ${host.files.path(name)} to keep the change in`);
    return;
  }
  const config = parseDomainConfig(text, host.files.path(name));
  change(config);
  if (config.toString() !== text) host.files.write(name, config.toString());
}

async function disksOf({ toolstack }: DomainHost, name: string): Promise<readonly { target: string; vdev: string }[]> {
  const details = await toolstack.details(name);
  return details.find((domain) => domain.name === name)?.disks ?? [];
}

/**
 * xl leaves an interface whose attach failed with the guest, connected to nothing. There it would pass for attached when
 * the action is run again, and let a later migration fail.
 */
async function takeOut({ toolstack, log }: DomainHost, domainId: number, mac: string): Promise<void> {
  try {
    const left = (await toolstack.networkList(domainId)).find((nic) => nic.mac === mac);
    if (left !== undefined) await toolstack.networkDetach(domainId, left.index);
  } catch (error) {
    log('WARN', `the interface ${mac} is left with domain ${domainId}, unconnected: ${asCxmError(error).message}`);
  }
}

/** Found out before, a missing bridge does not disturb the guest. */
async function requireBridge(host: DomainHost, bridge: string): Promise<void> {
  if (existsSync(`/sys/class/net/${bridge}`) || (await host.toolstack.info()).simulated) return;
  throw new CxmError('NOT_FOUND', `there is no bridge ${bridge} on this host`, {
    hint: 'make the bridge, or name another one in the virtual network',
  });
}

/** Puts `line` into a list of the configuration in place of the item with that key; undefined removes it. */
function setItem(
  config: DomainConfig,
  list: 'disk' | 'vif',
  keyOf: (item: ConfigValue) => string | undefined,
  key: string,
  line: string | undefined,
): void {
  const items = config.getList(list) ?? [];
  const index = items.findIndex((item) => keyOf(item) === key);
  const rest = items.filter((_, position) => position !== index);
  if (line === undefined && index < 0) return;
  if (line === undefined) config.set(list, rest);
  else
    config.set(list, index < 0 ? [...items, line] : items.map((item, position) => (position === index ? line : item)));
}

function targetOf(item: ConfigValue): string | undefined {
  return typeof item === 'string' ? parseDiskSpec(item).vdev : undefined;
}

function macOf(item: ConfigValue): string | undefined {
  return typeof item === 'string' ? parseNicSpec(item).mac : undefined;
}
