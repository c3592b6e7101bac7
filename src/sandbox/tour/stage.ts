/**
 * What a step of the tour works with: the sandbox, what oned is asked to do, and the checks that it makes of what can be
 * seen afterwards. A check that does not hold ends the tour.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MadeImages } from '../images.ts';
import { hashOf, witnessPath } from '../images.ts';
import type { Layout } from '../layout.ts';
import type { Caller } from '../one/calls.ts';
import type { Lifecycle } from '../one/lifecycle.ts';
import type { Abilities } from '../prepare.ts';
import { domainsNamed, fileOnVolume, lookAround, volumeOf, writeOnVolume, type World } from './world.ts';

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

/** What the guest wrote to its disk in the first step. */
const notePath = '/root/note';
const noteText = 'written by the guest, to be seen again\n';

export class Stage {
  constructor(
    readonly layout: Layout,
    readonly abilities: Abilities,
    readonly images: MadeImages,
    readonly lifecycle: Lifecycle,
    readonly caller: Caller,
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

  /** The domain of that name runs on this node and nowhere else, with its volumes active there alone. */
  checkRunsOn(vmId: number, name: string, node: string): void {
    const world = this.look();
    const nodes = domainsNamed(world, name).map((domain) => domain.node);
    this.check(`${name} runs on ${node} and nowhere else`, nodes.length === 1 && nodes[0] === node);
    const volumes = world.volumes.filter((volume) => volume.name.startsWith(`lv-one-${vmId}-`));
    const alone = volumes.every(({ activeOn }) => activeOn.length === 1 && activeOn[0] === node);
    this.check(`all volumes of VM ${vmId} are active on ${node} and on no other node`, volumes.length > 0 && alone);
  }

  /** As a guest does: a file on its root disk. */
  writeNote(vmId: number): void {
    const source = join(this.layout.temporary, 'note');
    writeFileSync(source, noteText);
    writeOnVolume(this.requireVolume(vmId, 0), notePath, source);
  }

  /** The disk still holds what came in the archive and what the guest wrote. */
  checkFiles(vmId: number): void {
    const volume = this.requireVolume(vmId, 0);
    const witness = fileOnVolume(volume, witnessPath);
    this.check(
      'the disk holds the files of the archive, byte for byte',
      witness !== undefined && hashOf(witness) === this.images.witnessHash,
    );
    this.check('and what the guest wrote since', fileOnVolume(volume, notePath)?.toString() === noteText);
  }

  /** Drawn when the guest booted. */
  bootId(name: string): string {
    return domainsNamed(this.look(), name)[0]?.bootId ?? '';
  }

  private requireVolume(vmId: number, diskId: number) {
    const volume = volumeOf(this.look(), vmId, diskId);
    if (volume === undefined) throw new CheckFailed(`there is no volume of disk ${diskId} of VM ${vmId}`);
    return volume;
  }
}
