/**
 * What a step of the tour works with: the sandbox, what oned is asked to do, and the checks that it makes of what can be
 * seen afterwards. A check that does not hold ends the tour.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { hashesBelow, witnessDirectory, type MadeImages } from '../images.ts';
import type { Layout } from '../layout.ts';
import type { ClusterCaller } from '../one/calls.ts';
import type { Lifecycle } from '../one/lifecycle.ts';
import {
  copyFromVolume,
  domainsNamed,
  fileInArchive,
  fileOnVolume,
  lookAround,
  volumeOf,
  writeOnVolume,
  type SeenVolume,
  type World,
} from './world.ts';

/** A check that did not hold. */
export class CheckFailed extends Error {}

export interface Step {
  readonly title: string;
  /** What a user of OpenNebula types for it. */
  readonly wish: string;
  readonly note: string;
  /** Names of the volumes whose size is set against what travelled; left out when that says nothing. */
  readonly volumes?: RegExp;
  run(stage: Stage): Promise<void>;
}

/** What the guest writes to a disk in the first step. */
const notePath = '/note';
const noteText = 'written by the guest, to be seen again\n';

export class Stage {
  constructor(
    readonly layout: Layout,
    readonly images: MadeImages,
    readonly lifecycle: Lifecycle,
    readonly caller: ClusterCaller,
    private readonly onCheck: (sentence: string) => void,
  ) {}

  look(): World {
    return lookAround(this.layout);
  }

  /** @throws CheckFailed */
  check(sentence: string, holds: boolean): void {
    if (!holds) throw new CheckFailed(sentence);
    this.onCheck(sentence);
  }

  /** Whether something comes true within some time; what the cluster starts it does not wait for. */
  async soon(comesTrue: () => boolean): Promise<boolean> {
    for (let left = 300; left > 0 && !comesTrue(); left--) await setTimeout(100);
    return comesTrue();
  }

  /** The domain of that name runs on this node and nowhere else, with its volumes active there alone. */
  checkRunsOn(vmId: number, name: string, node: string): void {
    const world = this.look();
    const nodes = domainsNamed(world, name).map((domain) => domain.node);
    this.check(`${name} runs on ${node} and nowhere else`, nodes.length === 1 && nodes[0] === node);
    const volumes = volumesOf(world, vmId);
    const alone = volumes.every(({ activeOn }) => activeOn.length === 1 && activeOn[0] === node);
    this.check('its volumes are active there and nowhere else', volumes.length > 0 && alone);
  }

  /** All volumes of a VM say whose they are. */
  checkTags(vmId: number): void {
    const volumes = volumesOf(this.look(), vmId);
    const tagged = volumes.every(({ tags }) => tags.includes(`cxm_vm=${vmId}`));
    this.check(`they are tagged as those of VM ${vmId}`, volumes.length > 0 && tagged);
  }

  /** As a guest does: a file on its disk. */
  writeNote(vmId: number, diskId: number): void {
    const source = join(this.layout.temporary, 'note');
    writeFileSync(source, noteText);
    writeOnVolume(this.requireVolume(vmId, diskId), notePath, source);
  }

  /** The root disk holds what came in the archive and what the guest wrote. */
  checkFiles(vmId: number): void {
    const volume = this.requireVolume(vmId, 0);
    const { witnesses } = this.images;
    const found = this.hashesOn(volume);
    const same = found.size === witnesses.size && [...witnesses].every(([path, hash]) => found.get(path) === hash);
    this.check(`all ${witnesses.size} files in ${witnessDirectory} are those of the archive, byte for byte`, same);
    this.check('what the guest wrote is there', fileOnVolume(volume, notePath) === noteText);
  }

  /** An image that was saved holds what the guest wrote. */
  checkNoteInArchive(image: string): void {
    this.check('it holds what the guest wrote', fileInArchive(image, `.${notePath}`) === noteText);
  }

  /** Drawn when the guest booted. */
  bootId(name: string): string {
    return domainsNamed(this.look(), name)[0]?.bootId ?? '';
  }

  /** It has not booted since. @param bootId of then */
  checkSameGuest(name: string, bootId: string): void {
    this.check('the same guest goes on', bootId !== '' && this.bootId(name) === bootId);
  }

  private hashesOn(volume: SeenVolume): ReadonlyMap<string, string> {
    const directory = mkdtempSync(join(this.layout.temporary, 'look-'));
    try {
      copyFromVolume(volume, witnessDirectory, directory);
      return hashesBelow(join(directory, basename(witnessDirectory)));
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  private requireVolume(vmId: number, diskId: number): SeenVolume {
    const volume = volumeOf(this.look(), vmId, diskId);
    if (volume === undefined) throw new CheckFailed(`there is a volume of disk ${diskId} of VM ${vmId}`);
    return volume;
  }
}

function volumesOf(world: World, vmId: number): readonly SeenVolume[] {
  return world.volumes.filter(({ name }) => name.startsWith(`lv-one-${vmId}-`));
}
