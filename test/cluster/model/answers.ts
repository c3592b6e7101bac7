/** What the nodes of the model say when they are asked: volumes, memory, configurations. Pure. */
import type { Inventory } from '../../../src/lvm/inventory.ts';
import type { GroupedVolume } from '../../../src/lvm/report.ts';
import type { HostInfo } from '../../../src/xen/domain-list.ts';
import type { ModelConfig, ModelNode, World } from './world.ts';

/** Every volume that a configuration or a domain names is on the storage. */
export function inventoryOf(world: World, node: ModelNode): Inventory {
  const used = world.nodes.flatMap((any) => [...any.configs.values(), ...any.domains]);
  const names = new Set([...used.flatMap(({ disks }) => disks.map(({ volume }) => volume)), ...world.hotVolumes]);
  const group = { name: 'san', uuid: node.groupUuid, sizeBytes: 0, freeBytes: 0, extentBytes: 0, lockType: '' };
  return { groups: [group], volumes: [...names].map((name) => volumeOf(world, node, name)) };
}

export function volumeOf(world: World, node: ModelNode, name: string): GroupedVolume {
  return {
    group: 'san',
    name,
    uuid: `${node.groupUuid} ${name}`,
    sizeBytes: 1,
    tags: [],
    active: node.active.has(name),
    open: world.isOpen(node, name),
    path: `/dev/san/${name}`,
    origin: '',
  };
}

export function infoOf(node: ModelNode): HostInfo {
  const used = node.domains.reduce((sum, { memoryMib }) => sum + memoryMib, 0);
  return {
    host: node.name,
    cpus: 1,
    cpuMhz: 1,
    totalMemoryMib: node.totalMemoryMib,
    freeMemoryMib: node.totalMemoryMib - used,
    xenVersion: '4.17',
    cpuFeatures: '',
    simulated: true,
    fields: {},
  };
}

export function configText(vm: string, { memoryMib, disks }: ModelConfig): string {
  const items = disks.map(({ group, volume, readOnly }, index) => {
    const vdev = `xvd${String.fromCharCode(97 + index)}`;
    return `"phy:/dev/${group}/${volume},${vdev},${readOnly ? 'r' : 'w'}"`;
  });
  return `name = "${vm}"\nmemory = ${memoryMib}\ndisk = [${items.join(', ')}]\n`;
}
