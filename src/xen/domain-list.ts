/**
 * What a toolstack's lists say. The parsers turn xl's tables into records, odd rows included; `meaningOf` says what a row
 * means, because neither a name nor the presence of a row means "this VM runs here": domains are listed while they are
 * built, while they arrive, after they left and while they are torn down.
 */

/** One row of `xl list`. */
export interface DomainRow {
  readonly id: number;
  /** As listed; undefined while the domain is torn down (`(null)`). */
  readonly name: string | undefined;
  readonly memoryMib: number;
  /** VCPUs online. */
  readonly vcpus: number;
  readonly state: DomainState;
  readonly cpuSeconds: number;
  /** Only when the list was asked with uuids. */
  readonly uuid?: string;
}

export type ShutdownCause = 'powerOff' | 'reboot' | 'suspend' | 'crash' | 'watchdog' | 'softReset' | 'unknown';

/** The six letters of the state column. All false is a domain that waits for a CPU: it runs. */
export interface DomainState {
  readonly running: boolean;
  readonly blocked: boolean;
  readonly paused: boolean;
  /** Why the domain has shut down; undefined while it has not. */
  readonly shutdown: ShutdownCause | undefined;
  readonly dying: boolean;
}

/** What `xl list -l` keeps about a domain. */
export interface DomainDetails {
  readonly id: number;
  readonly name: string | undefined;
  readonly uuid: string | undefined;
  /** pv, hvm or pvh. */
  readonly type: string | undefined;
  readonly maximumMemoryKib: number | undefined;
  readonly targetMemoryKib: number | undefined;
  readonly maximumVcpus: number | undefined;
  readonly disks: readonly { readonly target: string; readonly vdev: string; readonly readOnly: boolean }[];
  readonly nics: readonly {
    readonly index: number;
    readonly mac: string | undefined;
    readonly bridge: string | undefined;
  }[];
}

export interface HostInfo {
  readonly host: string;
  readonly cpus: number;
  readonly cpuMhz: number;
  readonly totalMemoryMib: number;
  readonly freeMemoryMib: number;
  readonly xenVersion: string;
  /** The feature words of the CPUs, as printed. */
  readonly cpuFeatures: string;
  /** Not a hypervisor but the stand-in of the sandbox. */
  readonly simulated: boolean;
  /** Every line of the output. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface VcpuRow {
  readonly name: string;
  readonly id: number;
  readonly vcpu: number;
  /** Physical CPU it is on; undefined while offline. */
  readonly cpu: number | undefined;
  readonly state: string;
  readonly cpuSeconds: number;
}

/** One row of `xl block-list`; `vdev` is the device's number (51712 is xvda). */
export interface BlockDeviceRow {
  readonly vdev: number;
  readonly backendId: number;
  readonly handle: number;
  /** xenbus state; 4 is connected. */
  readonly state: number;
  readonly backendPath: string;
}

export interface NetworkDeviceRow {
  readonly index: number;
  readonly backendId: number;
  readonly mac: string;
  readonly handle: number;
  /** xenbus state; 4 is connected. */
  readonly state: number;
  readonly backendPath: string;
}

export type DomainMeaning =
  /** The guest runs here. */
  | 'running'
  /** The guest is here, stopped by an administrator. */
  | 'paused'
  /** A create, restore or reboot is making it; it has not run yet. */
  | 'building'
  /** The destination of a migration that is under way or was cut off. */
  | 'incoming'
  /** The source of a migration or save at its end: the guest's state is elsewhere. */
  | 'leaving'
  /** The guest has shut down or crashed; its monitor restarts or removes the domain, if there is one. */
  | 'shutDown'
  /** Being torn down. */
  | 'dying';
