/**
 * People who work with xl and LVM beside cxm, and who look before they do: they pause guests, attach volumes to them and start
 * VMs without a lock. None of this alone breaks a rule; what cxm makes of it must not either.
 */
import type { Random } from './scheduler.ts';
import { isLive, type ModelDomain, type ModelNode, type World } from './world.ts';

interface Place {
  readonly node: ModelNode;
  readonly domain: ModelDomain;
}

/** @param isIdle nobody works on the VM with cxm */
export function actByHand(world: World, random: Random, vms: readonly string[], isIdle: (vm: string) => boolean): void {
  const vm = random.pick(vms);
  const places: Place[] = world.nodes.flatMap((node) =>
    node.domains.filter((domain) => domain.vm === vm).map((domain) => ({ node, domain })),
  );
  const [place] = places;
  if (place === undefined) return isIdle(vm) ? startByHand(world, random, vm) : undefined;
  if (places.length > 1 || !isLive(place.domain)) return;
  if (random.chance(0.5)) return pauseByHand(world, random, place);
  if (isIdle(vm)) attachByHand(world, place);
}

/** At any moment, also in the middle of an operation; most are unpaused again. */
function pauseByHand(world: World, random: Random, { node, domain }: Place): void {
  if (domain.phase !== 'running') return;
  world.disturbances += 1;
  world.scheduler.note(`${node.name}: somebody pauses ${domain.vm}`);
  domain.phase = 'paused';
  if (random.chance(0.2)) return;
  const boots = node.boots;
  world.scheduler.later(500 + random.below(15_000), `${node.name}: somebody unpauses ${domain.vm}`, () => {
    world.disturbances += 1;
    if (node.boots === boots && domain.phase === 'paused') domain.phase = 'running';
  });
}

/** A volume that is active nowhere else. */
function attachByHand(world: World, { node, domain }: Place): void {
  const volume = `${domain.vm}-hot`;
  if (domain.phase !== 'running' || domain.disks.some((disk) => disk.volume === volume)) return;
  if (world.nodes.some((other) => other !== node && other.active.has(volume))) return;
  world.disturbances += 1;
  world.scheduler.note(`${node.name}: somebody attaches ${volume}`);
  world.hotVolumes.add(volume);
  node.active.add(volume);
  domain.disks = [...domain.disks, { group: 'san', volume, readOnly: false }];
}

/** Where nothing of the VM is, or was a moment ago, on any node. */
function startByHand(world: World, random: Random, vm: string): void {
  const node = random.pick(world.nodes);
  const config = node.configs.get(vm);
  if (config === undefined || !node.up || world.scheduler.now < world.restlessUntil) return;
  const own = config.disks.filter(({ readOnly }) => !readOnly).map(({ volume }) => volume);
  const used = world.nodes.some(
    ({ active, busy }) => own.some((volume) => active.has(volume)) || (busy.get(vm) ?? 0) > 0,
  );
  const free = node.totalMemoryMib - node.domains.reduce((sum, { memoryMib }) => sum + memoryMib, 0);
  if (used || free < config.memoryMib) return;
  world.disturbances += 1;
  world.scheduler.note(`${node.name}: somebody starts ${vm} with xl`);
  for (const { volume } of config.disks) node.active.add(volume);
  const domain = world.addDomain(node, vm, 'building', config);
  if (world.attach(node, domain) !== undefined) return world.remove(node, domain);
  world.scheduler.later(400, `${node.name}: ${vm} runs`, () => {
    world.disturbances += 1;
    if (node.domains.includes(domain) && domain.phase === 'building') world.goLive(node, domain);
  });
}
