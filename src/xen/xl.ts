/**
 * The toolstack `xl`, one program run a request. Names, paths and hosts are checked before they become arguments, so that
 * none is taken for an option, a domain id or shell text (xl hands the migration's host to a shell). xl's exit code is
 * only believed together with its messages. Runs are bounded in time; a migration's deadline ends its connection, not xl,
 * because an xl that is killed leaves the guest suspended while one that loses its connection resumes it. So a save has
 * no deadline here that it could ever meet.
 */
import { CxmError } from '../errors.ts';
import { realClock, type Clock } from '../host/clock.ts';
import type { CommandResult, Commands } from '../host/commands.ts';
import { formatDiskSpec } from './disk.ts';
import type { DiskSpec } from './disk.ts';
import {
  monitorGraceMs,
  needsMonitor,
  parseBlockList,
  parseDomainDetails,
  parseDomainList,
  parseHostInfo,
  parseNetworkList,
  parseVcpuList,
} from './domain-list.ts';
import type { BlockDeviceRow, DomainDetails, DomainRow, HostInfo, NetworkDeviceRow, VcpuRow } from './domain-list.ts';
import { nicParameters } from './nic.ts';
import type { NicSpec } from './nic.ts';
import { isToolstackError, ToolstackError, toolstackError } from './toolstack-error.ts';
import type { DomainReference, MigrateOptions, ShutdownOutcome, Toolstack } from './toolstack.ts';

const minuteMs = 60_000;
/** xl waits 60 s for a guest's acknowledgement; whoever asks waits a little longer than xl. */
const acknowledgeMs = minuteMs + 15_000;
const migrateMs = 60 * minuteMs;
/**
 * For save and restore, whose length the medium decides. Only a last resort, since an xl that is killed in a save leaves
 * the guest suspended: whoever has a deadline ends what reads or writes the file's other end, long before this.
 */
const stateMs = 24 * 60 * minuteMs;
const pollMs = 1000;

export class Xl implements Toolstack {
  private readonly commands: Commands;
  private readonly program: string;
  private readonly clock: Clock;

  constructor(commands: Commands, options: { readonly program?: string; readonly clock?: Clock } = {}) {
    this.commands = commands;
    this.program = options.program ?? 'xl';
    this.clock = options.clock ?? realClock;
  }

  async list(): Promise<readonly DomainRow[]> {
    return parseDomainList((await this.run(['list', '-v'])).stdout);
  }

  async find(domain: DomainReference): Promise<DomainRow | undefined> {
    domainArgument(domain);
    return (await this.list()).find((row) => (typeof domain === 'number' ? row.id === domain : row.name === domain));
  }

  async details(domain?: DomainReference): Promise<readonly DomainDetails[]> {
    const { stdout } = await this.run(['list', '-l', ...(domain === undefined ? [] : [domainArgument(domain)])]);
    return parseDomainDetails(stdout);
  }

  async info(): Promise<HostInfo> {
    return parseHostInfo((await this.run(['info'])).stdout);
  }

  async vcpuList(domain?: DomainReference): Promise<readonly VcpuRow[]> {
    const { stdout } = await this.run(['vcpu-list', ...(domain === undefined ? [] : [domainArgument(domain)])]);
    return parseVcpuList(stdout);
  }

  async create(configPath: string, options: { readonly paused?: boolean } = {}): Promise<void> {
    const path = pathArgument(configPath);
    await this.run(['create', ...(options.paused === true ? ['-p'] : []), path], 5 * minuteMs);
  }

  async shutdown(
    domain: DomainReference,
    { wait, timeoutMs }: { readonly wait: boolean; readonly timeoutMs: number },
  ): Promise<ShutdownOutcome> {
    const deadline = this.clock.now() + timeoutMs;
    // The id, not the name: what waits below must not mistake a successor of the same name for this domain.
    const row = await this.find(domain);
    if (row === undefined) return 'gone';
    try {
      await this.run(
        ['shutdown', '-F', String(row.id)],
        wait ? Math.max(1000, Math.min(timeoutMs, acknowledgeMs)) : acknowledgeMs,
      );
    } catch (error) {
      if (isToolstackError(error, 'unknownDomain')) return 'gone';
      if (isToolstackError(error, 'unresponsiveGuest', 'noPowerControl', 'timeout')) return 'unresponsive';
      throw error;
    }
    return wait ? this.waitForEnd(row, deadline) : 'requested';
  }

  private async waitForEnd(row: DomainRow, deadline: number): Promise<ShutdownOutcome> {
    let unattendedSince: number | undefined;
    for (;;) {
      const now = this.clock.now();
      const current = (await this.list()).find((candidate) => candidate.id === row.id);
      if (current === undefined) return 'gone';
      unattendedSince = needsMonitor(current) ? (unattendedSince ?? now) : undefined;
      if (unattendedSince !== undefined && now - unattendedSince >= monitorGraceMs) return 'leftBehind';
      if (now >= deadline) return unattendedSince === undefined ? 'stillRunning' : 'leftBehind';
      await this.clock.sleep(Math.max(1, Math.min(pollMs, deadline - now)));
    }
  }

  async destroy(domain: DomainReference): Promise<void> {
    await this.run(['destroy', domainArgument(domain)], 2 * minuteMs);
  }

  async reboot(domain: DomainReference): Promise<void> {
    await this.run(['reboot', '-F', domainArgument(domain)], acknowledgeMs);
  }

  async pause(domain: DomainReference): Promise<void> {
    await this.run(['pause', domainArgument(domain)]);
  }

  async unpause(domain: DomainReference): Promise<void> {
    await this.run(['unpause', domainArgument(domain)]);
  }

  async rename(domain: DomainReference, name: string): Promise<void> {
    await this.run(['rename', domainArgument(domain), domainArgument(name)]);
  }

  async save(
    domain: DomainReference,
    file: string,
    options: { readonly keepRunning?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const keep = options.keepRunning === true ? ['-c'] : [];
    await this.run(['save', ...keep, domainArgument(domain), pathArgument(file)], options.timeoutMs ?? stateMs);
  }

  async restore(
    file: string,
    options: { readonly configPath?: string; readonly paused?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const paused = options.paused === true ? ['-p'] : [];
    const config = options.configPath === undefined ? [] : [pathArgument(options.configPath)];
    await this.run(['restore', ...paused, ...config, pathArgument(file)], options.timeoutMs ?? stateMs);
  }

  async migrate(domain: DomainReference, destination: string, options: MigrateOptions = {}): Promise<void> {
    const deadlineMs = options.deadlineMs ?? migrateMs;
    const name = domainArgument(domain);
    const host = hostArgument(destination);
    const connection = connectionCommand(deadlineMs, options.connectionLostMs ?? 15_000);
    await this.run(['migrate', '-s', connection, name, host], deadlineMs + 2 * minuteMs);
  }

  async blockAttach(domain: DomainReference, disk: DiskSpec): Promise<void> {
    await this.run(['block-attach', domainArgument(domain), formatDiskSpec(disk)], 2 * minuteMs);
  }

  async blockDetach(domain: DomainReference, vdev: string, options: { readonly force?: boolean } = {}): Promise<void> {
    if (!/^[a-z]+[a-z0-9]*$/.test(vdev)) throw refused(vdev, "a guest's device");
    const force = options.force === true ? ['--force'] : [];
    await this.run(['block-detach', ...force, domainArgument(domain), vdev], 2 * minuteMs);
  }

  async blockList(domain: DomainReference): Promise<readonly BlockDeviceRow[]> {
    const args = ['block-list', domainArgument(domain)];
    const { stdout, stderr, exitCode } = await this.run(args);
    if (/invalid domain identifier/.test(stderr)) throw this.failure(args, exitCode, stderr);
    return parseBlockList(stdout);
  }

  async networkAttach(domain: DomainReference, nic: NicSpec): Promise<void> {
    await this.run(['network-attach', domainArgument(domain), ...nicParameters(nic)], 2 * minuteMs);
  }

  async networkDetach(domain: DomainReference, device: number | string): Promise<void> {
    const index = String(device);
    if (!/^\d{1,5}$|^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(index)) throw refused(index, 'an interface (index or MAC)');
    await this.run(['network-detach', domainArgument(domain), index], 2 * minuteMs);
  }

  async networkList(domain: DomainReference): Promise<readonly NetworkDeviceRow[]> {
    return parseNetworkList((await this.run(['network-list', domainArgument(domain)])).stdout);
  }

  async setMemory(domain: DomainReference, memoryMib: number): Promise<void> {
    await this.run(['mem-set', domainArgument(domain), `${countArgument(memoryMib, 'megabytes')}m`]);
  }

  async setMaximumMemory(domain: DomainReference, memoryMib: number): Promise<void> {
    await this.run(['mem-max', domainArgument(domain), `${countArgument(memoryMib, 'megabytes')}m`]);
  }

  async setVcpus(domain: DomainReference, count: number): Promise<void> {
    await this.run(['vcpu-set', domainArgument(domain), countArgument(count, 'VCPUs')]);
  }

  private async run(args: readonly string[], timeoutMs = minuteMs): Promise<CommandResult> {
    let result: CommandResult;
    try {
      result = await this.commands.run(this.program, args, { timeoutMs, okExitCodes: 'any' });
    } catch (cause) {
      if (!(cause instanceof CxmError) || cause.code !== 'TIMEOUT') throw cause;
      const message = `xl ${args[0] ?? ''} did not end within ${Math.round(timeoutMs / 1000)} s`;
      throw new ToolstackError('timeout', 'TIMEOUT', message, { cause, changed: 'maybe' });
    }
    if (result.exitCode !== 0) throw this.failure(args, result.exitCode, result.stderr);
    return result;
  }

  private failure(args: readonly string[], exitCode: number, stderr: string): ToolstackError {
    const words = args.filter((word) => !word.startsWith('-') && !word.includes(' ')).join(' ');
    return toolstackError(`xl ${words.slice(0, 200)}`, exitCode, stderr);
  }
}

/**
 * What xl runs as `COMMAND HOST xl migrate-receive`, through a shell: constant words and numbers only. `timeout` ends a
 * transfer that takes too long, the keepalives one whose other side fell silent; xl then resumes the guest.
 */
function connectionCommand(deadlineMs: number, connectionLostMs: number): string {
  const aliveSeconds = Math.max(1, Math.round(connectionLostMs / 3000));
  const options = [
    'BatchMode=yes',
    `ConnectTimeout=${Math.max(1, Math.round(connectionLostMs / 1000))}`,
    `ServerAliveInterval=${aliveSeconds}`,
    'ServerAliveCountMax=3',
  ];
  const ssh = `ssh ${options.map((option) => `-o ${option}`).join(' ')}`;
  return `timeout -k 10 ${Math.max(1, Math.ceil(deadlineMs / 1000))} ${ssh}`;
}

function domainArgument(domain: DomainReference): string {
  if (typeof domain === 'number') return countArgument(domain, 'domain id');
  if (domain === '' || domain.startsWith('-') || /^\d+$/.test(domain) || /\p{Cc}/u.test(domain)) {
    throw refused(domain, "a domain's name");
  }
  return domain;
}

function pathArgument(path: string): string {
  if (!path.startsWith('/') || path.includes('\0')) throw refused(path, 'an absolute path');
  return path;
}

function hostArgument(host: string): string {
  if (host.length > 253 || !/^[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?$/.test(host)) {
    throw refused(host, "a host's name or address");
  }
  return host;
}

function countArgument(count: number, what: string): string {
  if (!Number.isSafeInteger(count) || count < 0) throw refused(String(count), `a number of ${what}`);
  return String(count);
}

function refused(value: string, what: string): CxmError {
  return new CxmError('INVALID_INPUT', `${JSON.stringify(value.slice(0, 200))} is not ${what} that xl could be given`);
}
