/**
 * What the cluster does to its nodes, as data: a dry run prints these steps, the real run carries them out (carry-out.ts).
 * Each changes one thing on one node. Order is the planner's word: nothing is started before every step ahead of it is
 * done, and what has been done is undone in reverse when a later one fails.
 */
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import type { ActivationMode } from '../lvm/volumes.ts';

export type Step =
  /** Nobody on the node may have it open afterwards, or the step fails. `wasActive`: undoing it activates it again. */
  | {
      readonly kind: 'deactivate';
      readonly node: string;
      readonly volume: VolumeName;
      readonly wasActive: boolean;
      /** It is only read, and another VM may be reading it, too: then it stays active, and that is well. */
      readonly unlessRead?: true;
    }
  | {
      readonly kind: 'activate';
      readonly node: string;
      readonly volume: VolumeName;
      readonly mode: ActivationMode;
      /** Undoing it leaves it active. */
      readonly wasActive: boolean;
      /** Nobody else could have it in the cluster's lock: undoing it makes that so again. */
      readonly wasExclusive?: true;
      /** It is only read: undoing it leaves it active, too, if another VM has begun to read it. */
      readonly unlessRead?: true;
    }
  | { readonly kind: 'create'; readonly node: string; readonly vm: string; readonly configPath: string }
  | { readonly kind: 'migrate'; readonly vm: string; readonly source: string; readonly destination: string }
  | { readonly kind: 'link'; readonly node: string; readonly vm: string; readonly configPath: string }
  | { readonly kind: 'unlink'; readonly node: string; readonly vm: string; readonly configPath: string }
  | { readonly kind: 'hook'; readonly vm: string; readonly source: string; readonly destination: string };

/** One line, for a plan and for the line of progress. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'deactivate':
      return `${step.node}: deactivate ${formatVolumeName(step.volume)}${step.unlessRead ? ' unless somebody reads it' : ''}`;
    case 'activate': {
      const how = step.mode === 'shared' ? ' shared with other nodes' : '';
      return `${step.node}: activate ${formatVolumeName(step.volume)}${how}`;
    }
    case 'create':
      return `${step.node}: start ${step.vm} from ${step.configPath}`;
    case 'migrate':
      return `${step.source}: migrate ${step.vm} live to ${step.destination}`;
    case 'link':
      return `${step.node}: set the autostart link of ${step.vm}`;
    case 'unlink':
      return `${step.node}: remove the autostart link of ${step.vm}`;
    case 'hook':
      return `${step.source}: run the post-migration hook for ${step.vm}`;
  }
}
