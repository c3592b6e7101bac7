/**
 * What the rest of the program asks of a Xen toolstack on one host. `xl` is the first implementation (xl.ts). All
 * failures are ToolstackErrors whose `reason` says what happened; `changed` says whether the domain may have been touched.
 *
 * Three things no toolstack on its own can promise, so callers keep them in mind:
 * - Nothing in Xen stops two hosts from starting domains on the same disk: exclusive activation of the logical volumes is
 *   the caller's part. A uuid that is in use is accepted.
 * - `on_poweroff` and `on_reboot` are carried out by a process per domain that ends when the domain suspends. After a save
 *   that left the domain running, a save that failed, or a migration that failed late, nobody carries them out any more:
 *   the domain stays in the list as `shutDown` for ever (see needsMonitor in domain-list.ts) until it is destroyed.
 * - The name of a domain decides nothing while a migration is under way: see meaningOf in domain-list.ts.
 */
import type { DiskSpec } from './disk.ts';
import type { BlockDeviceRow, DomainDetails, DomainRow, HostInfo, NetworkDeviceRow, VcpuRow } from './domain-list.ts';
import type { NicSpec } from './nic.ts';

/** A domain's name, or its id as a number. A name of digits alone is refused, because toolstacks take it for an id. */
export type DomainReference = string | number;

/** What became of a shutdown request. */
export type ShutdownOutcome =
  /** The guest was told; nobody waited. */
  | 'requested'
  /** The domain is not there any more (or was not there at all). */
  | 'gone'
  /** The guest has shut down, but the domain is still there and nobody cleans it up: destroy it. */
  | 'leftBehind'
  /** The guest was told and did not end in time. */
  | 'stillRunning'
  /**
   * The guest does not listen: it never acknowledged the request, or has no driver for it. The request stays: one that
   * listens again later, as a paused one does, still shuts down then.
   */
  | 'unresponsive';

export interface MigrateOptions {
  /** The transfer is broken off after this time and the domain goes on at the source; 1 hour when left out. */
  readonly deadlineMs?: number;
  /** The connection counts as dead after this time without an answer (a host without power sends none); 15 s. */
  readonly connectionLostMs?: number;
}

export interface Toolstack {
  /** Every row of the host's list, domain 0 and odd ones included. What a row means says meaningOf. */
  list(): Promise<readonly DomainRow[]>;
  /** The row with exactly this name or id. */
  find(domain: DomainReference): Promise<DomainRow | undefined>;
  /** What the toolstack keeps about the domains: disks, interfaces, memory. One row when a domain is named. */
  details(domain?: DomainReference): Promise<readonly DomainDetails[]>;
  info(): Promise<HostInfo>;
  vcpuList(domain?: DomainReference): Promise<readonly VcpuRow[]>;
  /**
   * Creates and starts a domain from a configuration file (absolute path). Without enough memory it takes many seconds to
   * fail. A failed create leaves no domain. @throws nameTaken, noMemory, diskInUse, missingDisk, missingKernel,
   * missingBridge, badConfig
   */
  create(configPath: string, options?: { readonly paused?: boolean }): Promise<void>;
  /**
   * Asks the guest to shut down. Never throws for a guest that is gone or does not answer: the outcome says so.
   * Without `wait` it can still take 60 s, the time xl gives a guest to acknowledge.
   */
  shutdown(
    domain: DomainReference,
    options: { readonly wait: boolean; readonly timeoutMs: number },
  ): Promise<ShutdownOutcome>;
  /** Ends a domain at once. @throws unknownDomain, domainZero */
  destroy(domain: DomainReference): Promise<void>;
  /** Asks the guest to reboot; takes up to 60 s. @throws unknownDomain, unresponsiveGuest */
  reboot(domain: DomainReference): Promise<void>;
  pause(domain: DomainReference): Promise<void>;
  unpause(domain: DomainReference): Promise<void>;
  rename(domain: DomainReference, name: string): Promise<void>;
  /**
   * Writes the domain's state to a file and ends the domain; `keepRunning` lets it go on, without its monitor. A save that
   * fails lets the guest go on, without its monitor when it had suspended already, and may leave a partial file. It takes
   * as long as the file takes; one that is ended by `timeoutMs` (24 hours) leaves the guest suspended for ever, so give it
   * a pipe and end what reads from it instead.
   * @throws unknownDomain, noSpaceForSave, saveNotWritable
   */
  save(
    domain: DomainReference,
    file: string,
    options?: { readonly keepRunning?: boolean; readonly timeoutMs?: number },
  ): Promise<void>;
  /**
   * Starts a domain from a saved state; `configPath` replaces the configuration that is in the file. The file stays.
   * `paused` makes the domain and lets it run only at the first unpause. 24 hours when `timeoutMs` is left out.
   * @throws nameTaken, missingSaveFile, badSaveFile and those of create
   */
  restore(
    file: string,
    options?: { readonly configPath?: string; readonly paused?: boolean; readonly timeoutMs?: number },
  ): Promise<void>;
  /**
   * Moves a running domain to another host over ssh as this user. The name on the destination must be free and the disks
   * active there: both are noticed late, the name only at the very end. When it fails the domain goes on at the source,
   * without its monitor if it had suspended; look at both hosts before saying where the VM is (`changed` is 'maybe').
   * An interface whose attach failed and that was not detached since makes a migration fail at the destination with
   * missingBridge. @throws unreachable, missingDisk, missingBridge, nameTaken, noMemory, receiverFailed, timeout,
   * handshakeLost (the domain is suspended at the source as NAME--migratedaway and may run at the destination)
   */
  migrate(domain: DomainReference, destination: string, options?: MigrateOptions): Promise<void>;
  /**
   * An attach whose hotplug script fails, or that is cut off, leaves the disk with the domain, listed but not connected,
   * where it keeps its device name and lets a later migration fail: detach what is left.
   * @throws unknownDomain, deviceExists, missingDisk, diskInUse
   */
  blockAttach(domain: DomainReference, disk: DiskSpec): Promise<void>;
  /** `force` also when the guest doesn't let go. @throws unknownDomain, unknownDevice */
  blockDetach(domain: DomainReference, vdev: string, options?: { readonly force?: boolean }): Promise<void>;
  /** @throws unknownDomain, although xl answers with exit code 0 */
  blockList(domain: DomainReference): Promise<readonly BlockDeviceRow[]>;
  /**
   * An attach that fails leaves the interface with the domain, listed as connected but on no bridge, where it lets a later
   * migration fail, and a restore without a configuration of its own: check the bridge first, and detach what is left.
   * @throws unknownDomain, missingBridge
   */
  networkAttach(domain: DomainReference, nic: NicSpec): Promise<void>;
  /** By index or by MAC address. @throws unknownDomain, unknownDevice */
  networkDetach(domain: DomainReference, device: number | string): Promise<void>;
  networkList(domain: DomainReference): Promise<readonly NetworkDeviceRow[]>;
  /** The balloon's target. @throws memoryAboveMaximum */
  setMemory(domain: DomainReference, memoryMib: number): Promise<void>;
  /** The ceiling that setMemory can reach. */
  setMaximumMemory(domain: DomainReference, memoryMib: number): Promise<void>;
  /** VCPUs online, up to `maxvcpus` of the configuration. @throws tooManyVcpus above the host's CPUs */
  setVcpus(domain: DomainReference, count: number): Promise<void>;
}
