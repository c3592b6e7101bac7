/** What the daemon asks of the machine that runs VMs, and of the others on behalf of the cluster: the body is over src/cluster. */
import type { LeftVm, StartOutcome } from '../protocol/messages.ts';

export interface Started {
  readonly outcome: StartOutcome;
  readonly reason: string;
}

export interface StartOrder {
  readonly vm: string;
  /** Nodes that are alive, this one among them: without their answers nothing is begun. */
  readonly nodes: readonly string[];
  /** All others: whoever of them answers must not have the VM. */
  readonly bystanders: readonly string[];
  /** Looked at immediately before what can't be taken back: why not to go on, if so. */
  obstacle(): string | undefined;
}

export interface PlanOrder {
  readonly vms: readonly string[];
  readonly nodes: readonly string[];
  readonly failed: readonly { readonly vm: string; readonly node: string }[];
  /** The most important ones, of which any may be among the VMs, in their order. */
  readonly first: readonly string[];
}

export interface Planned {
  readonly placements: readonly { readonly vm: string; readonly node: string }[];
  readonly left: readonly LeftVm[];
}

export interface DomainNames {
  /** All domains of this node but those of migrations under way. */
  readonly vms: readonly string[];
  /** There are others: halves of a migration, one that is being saved, one without a name. */
  readonly others: boolean;
}

export interface Hypervisor {
  /** Sampled after the call. @throws CxmError */
  list(): Promise<DomainNames>;
  /** Never throws. `running` and `failed` only when the toolstack was asked and said so. */
  start(order: StartOrder): Promise<Started>;
  /** Migrates the VM from there to here. As `start`. */
  receive(order: StartOrder, source: string): Promise<Started>;
  /** Where VMs fit. @throws CxmError */
  plan(order: PlanOrder): Promise<Planned>;
}
