/**
 * Two hosts for the operations on domains: the simulated xl as a program, volumes as files that are active on one host or
 * the other, directories of their own, and a user that is not root where the tests run as root. The hosts ask each other
 * as helpers do, through the operations' own parameter checks.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveCxmrc, settingsFromRecord } from '../../../src/config/load.ts';
import { CxmError } from '../../../src/errors.ts';
import type { DomainHost } from '../../../src/agent/operations/domain-host.ts';
import { noCluster } from '../../../src/agent/cluster-guard.ts';
import { realClock } from '../../../src/host/clock.ts';
import { DomainFiles } from '../../../src/agent/operations/domain-files.ts';
import { domainManager, type DomainManager } from '../../../src/agent/operations/domain-manager.ts';
import * as receive from '../../../src/agent/operations/domain-receive.ts';
import { localCommands, type CommandResult, type Commands } from '../../../src/host/commands.ts';
import { diskTags, diskVolumeName } from '../../../src/lvm/names.ts';
import { createGroup } from '../../../src/sandbox/host/group-file.ts';
import { DirectoryVolumes } from '../../../src/sandbox/host/directory-volumes.ts';
import { XlFailure, type Command } from '../../../src/sandbox/xl/context.ts';
import type { Knobs } from '../../../src/sandbox/xl/knobs.ts';
import * as lists from '../../../src/sandbox/xl/lists.ts';
import { Store } from '../../../src/sandbox/xl/store.ts';
import { meaningOf } from '../../../src/xen/domain-list.ts';
import { Xl } from '../../../src/xen/xl.ts';
import { Hosts } from '../../sandbox/xl/node.ts';

export type HostName = 'a' | 'b';
const mebibyte = 1024 ** 2;

/** Whoever runs the drivers: not root where root runs the tests. */
export const owner =
  process.geteuid?.() === 0
    ? { uid: 65534, gid: 65534 }
    : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

export class TestHosts {
  readonly logged: string[] = [];
  private abort = new AbortController();
  private round = 0;
  private sharedConfiguration = false;

  private constructor(private readonly xen: Hosts) {}

  static async make(): Promise<TestHosts> {
    const xen = await Hosts.make();
    chmodSync(xen.root, 0o711);
    for (const name of ['a', 'b']) await xen.add(name, { bridges: ['br0'] });
    return new TestHosts(xen);
  }

  async end(): Promise<void> {
    await this.xen.end();
  }

  /** Empty hosts, with fresh directories. */
  async reset(options: { readonly sharedConfiguration?: boolean } = {}): Promise<void> {
    await this.xen.reset();
    for (const name of ['a', 'b'] as const) {
      await this.turn(name, {});
      await this.xen.add(name, { bridges: ['br0'] });
    }
    this.round += 1;
    this.sharedConfiguration = options.sharedConfiguration ?? false;
    this.abort = new AbortController();
    this.logged.length = 0;
    mkdirSync(this.base, { mode: 0o755 });
    createGroup(join(this.base, 'san'), 'VG0', 1024 * mebibyte);
    mkdirSync(join(this.base, 'datastores'));
    chownSync(join(this.base, 'datastores'), owner.uid, owner.gid);
    this.writeSsh();
  }

  /** ssh to a host is a program run with that host's environment. */
  private writeSsh(): void {
    const { xen, base } = this;
    const script = [
      '#!/bin/sh',
      'while [ "${1#-}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done',
      'host=$1; shift',
      `export XL_SIMULATED_STATE="${xen.root}/$host" XL_SIMULATED_DEVICES="${base}/$host/dev"`,
      'exec "$@"',
    ];
    mkdirSync(join(base, 'bin'));
    writeFileSync(join(base, 'bin/ssh'), `${script.join('\n')}\n`, { mode: 0o755 });
  }

  get base(): string {
    return join(this.xen.root, `round-${this.round}`);
  }

  turn(name: HostName, knobs: Partial<Knobs>): Promise<void> {
    return this.xen.turn(name, {
      ignoreMissingKernel: true,
      teardownMs: 50,
      shutdownDelayMs: 100,
      migrateCopyMs: 50,
      ...knobs,
    });
  }

  /** How many physical CPUs the host has from now on, until the next reset. */
  setCpus(name: HostName, cpus: number): Promise<void> {
    return this.xen.add(name, { bridges: ['br0'], cpus });
  }

  /** The VM's directory in the system datastore, which both hosts see. */
  directory(vmId: number): string {
    return join(this.base, 'datastores', String(vmId));
  }

  configDirectory(name: HostName): string {
    return join(this.base, this.sharedConfiguration ? 'shared' : name, 'vm');
  }

  path(name: HostName, file: string): string {
    return join(this.base, name, file);
  }

  manager(name: HostName, settings: Readonly<Record<string, string>> = {}): DomainManager {
    return domainManager(this.host(name, settings));
  }

  /** The caller of the operations is gone from now on. */
  goAway(): void {
    this.abort.abort();
  }

  host(name: HostName, settings: Readonly<Record<string, string>> = {}): DomainHost {
    const cxmrc = resolveCxmrc(
      settingsFromRecord(
        {
          VG_NAME: 'VG0',
          VM_FQDN_TEMPLATE: '%V-%I',
          SHUTDOWN_TIMEOUT: '20',
          BUSY_TIMEOUT: '2',
          MIGRATE_TIMEOUT: '10',
          CFG_DIR: this.configDirectory(name),
          AUTO_DIR: join(this.base, name, 'auto'),
          ...settings,
        },
        'the test',
      ),
    );
    const commands = this.commands(name);
    return {
      settings: cxmrc,
      commands,
      volumes: this.volumes(name),
      guard: noCluster,
      owner,
      signal: this.abort.signal,
      log: (severity, text) => void this.logged.push(`${severity} ${text}`),
      runDirectory: join(this.base, name, 'run'),
      toolstack: new Xl(commands),
      files: new DomainFiles(cxmrc.CFG_DIR, cxmrc.AUTO_DIR),
      clock: realClock,
      remote: { call: (other, operation, parameters) => this.call(other, operation, parameters, settings) },
    };
  }

  volumes(name: HostName): DirectoryVolumes {
    return new DirectoryVolumes(localCommands, {
      name: 'VG0',
      directory: join(this.base, 'san'),
      devices: join(this.base, name, 'dev'),
    });
  }

  /** Volumes of the VM's disks, active nowhere, as after a transfer. */
  async addDisks(vmId: number, ...diskIds: readonly number[]): Promise<void> {
    const volumes = this.volumes('a');
    for (const diskId of diskIds) {
      const name = diskVolumeName('lv-one', vmId, diskId);
      await volumes.create({ name, sizeBytes: 8 * mebibyte, tags: diskTags({ vmId, diskId, cloud: 'fe' }) });
      await volumes.deactivate(name);
    }
    this.makeDirectory(vmId);
  }

  makeDirectory(vmId: number): void {
    mkdirSync(this.directory(vmId), { recursive: true });
    chownSync(this.directory(vmId), owner.uid, owner.gid);
  }

  /** Names of the active volumes of a host. */
  async active(name: HostName): Promise<string[]> {
    return (await this.volumes(name).list()).filter(({ active }) => active).map((volume) => volume.name);
  }

  /** `name: meaning` of each domain of a host. */
  async domains(name: HostName): Promise<string[]> {
    const rows = await new Xl(this.commands(name)).list();
    return rows.filter(({ id }) => id !== 0).map((row) => `${row.name ?? ''}: ${meaningOf(row)}`);
  }

  /** What the simulated guest carries through saves and moves. */
  guest(name: HostName, domain: string): Promise<unknown> {
    return this.xen.guest(name, domain);
  }

  /** Runs the simulated xl itself, as an administrator would. @returns what it says @throws CxmError COMMAND */
  async xl(name: HostName, ...args: readonly string[]): Promise<string> {
    return (await localCommands.run('xl', args, { env: this.environment(name) })).stdout;
  }

  /** What a cluster does behind OpenNebula's back. */
  async migrateByHand(from: HostName, to: HostName, domain: string): Promise<void> {
    await new Xl(this.commands(from)).migrate(domain, to);
  }

  config(name: HostName, domain: string): string | undefined {
    const path = join(this.configDirectory(name), domain);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }

  writeConfig(name: HostName, domain: string, text: string): void {
    mkdirSync(this.configDirectory(name), { recursive: true });
    writeFileSync(join(this.configDirectory(name), domain), text);
  }

  hasAutostart(name: HostName, domain: string): boolean {
    return statSync(join(this.base, name, 'auto', domain), { throwIfNoEntry: false })?.isFile() ?? false;
  }

  /** A host that is cut off answers nobody. */
  cutOff(name: HostName): void {
    rmSync(join(this.xen.root, name, 'host.json'), { force: true });
    this.unreachable.add(name);
  }

  reconnect(name: HostName): void {
    this.unreachable.delete(name);
  }

  private readonly unreachable = new Set<string>();

  private async call(
    host: string,
    operation: string,
    parameters: Readonly<Record<string, unknown>>,
    settings: Readonly<Record<string, string>>,
  ): Promise<unknown> {
    if ((host !== 'a' && host !== 'b') || this.unreachable.has(host)) {
      throw new CxmError('HOST_UNREACHABLE', `host ${host} can't be reached over ssh: no answer`);
    }
    const target = this.host(host, settings);
    const sent = JSON.parse(JSON.stringify(parameters)) as Readonly<Record<string, unknown>>;
    switch (operation) {
      case 'domain-look':
        return receive.look(target, receive.parseNamedVm(sent));
      case 'domain-prepare':
        return receive.prepare(target, receive.parsePrepare(sent));
      case 'domain-settle':
        return receive.settle(target, receive.parseSettle(sent));
      case 'domain-abandon':
        return receive.abandon(target, receive.parseAbandon(sent));
      default:
        throw new Error(`no operation ${operation}`);
    }
  }

  private environment(name: HostName): Record<string, string> {
    const { PATH = '', ...others } = this.xen.environment(name);
    const devices = join(this.base, name, 'dev');
    return { ...others, PATH: `${join(this.base, 'bin')}:${PATH}`, XL_SIMULATED_DEVICES: devices };
  }

  /** Lists are asked for without a program run: they are most of the calls. */
  private commands(name: HostName): Commands {
    const env = this.environment(name);
    return {
      run: async (program, args, options) => {
        const list = program === 'xl' ? lookups[args[0] ?? ''] : undefined;
        if (list !== undefined) return lookUp(list, join(this.xen.root, name), args.slice(1));
        return localCommands.run(program, args, { ...options, env: { ...options?.env, ...env } });
      },
    };
  }
}

const lookups: Readonly<Record<string, Command>> = { list: lists.list, 'network-list': lists.networkList };

async function lookUp(command: Command, directory: string, args: readonly string[]): Promise<CommandResult> {
  const said = { stdout: '', stderr: '' };
  const context = {
    store: new Store(directory),
    out: (text: string) => void (said.stdout += text),
    say: (line: string) => void (said.stderr += `${line}\n`),
  };
  try {
    const exitCode = await command(context, args);
    return { ...said, exitCode };
  } catch (error) {
    if (!(error instanceof XlFailure)) throw error;
    return { ...said, stderr: `${said.stderr}${error.lines.join('\n')}\n`, exitCode: error.exitCode };
  }
}

/** The document of a VM with two disks and an interface; its kernel need not exist. */
export function vmDocument(vmId: number, name = 'web', changes: { memory?: number; template?: string } = {}): string {
  const disks = [0, 1]
    .map((id) => `<DISK><DISK_ID>${id}</DISK_ID><TARGET>xvd${'ab'.charAt(id)}</TARGET></DISK>`)
    .join('');
  const nic = `<NIC><NIC_ID>0</NIC_ID><MAC>02:00:0a:63:00:01</MAC><BRIDGE>br0</BRIDGE></NIC>`;
  const os = '<OS><KERNEL>/boot/vmlinuz</KERNEL><ROOT>xvda1</ROOT></OS>';
  const template = `<MEMORY>${changes.memory ?? 128}</MEMORY><CPU>1</CPU><VCPU>1</VCPU>${disks}${nic}${os}${changes.template ?? ''}`;
  return `<VM><ID>${vmId}</ID><UNAME>ann</UNAME><NAME>${name}</NAME><TEMPLATE>${template}</TEMPLATE></VM>`;
}
