/**
 * A sandbox for the command line without the tour's two VMs: three nodes, of which node3 has a volume group of its own, and
 * VMs as a test wants them. cxm is run in it as a person runs it: the built program, found through PATH.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { layoutOf, nodeOf, nodeVariable, volumeGroup, type Layout } from '../../src/sandbox/layout.ts';
import { changeGroup, lvmUuid, readGroup } from '../../src/sandbox/host/group-file.ts';
import { frontendEnvironment } from '../../src/sandbox/one/calls.ts';
import { prepareSandbox } from '../../src/sandbox/prepare.ts';
import { endProcesses } from '../../src/sandbox/remove.ts';
import { Store } from '../../src/sandbox/xl/store.ts';
import { endOf, keepBuild, type Ended } from '../sandbox/guest-house.ts';

const mib = 1024 * 1024;

export interface VmOptions {
  /** Where its volumes and its configuration are. */
  readonly on?: 'san' | 'node3';
  readonly memoryMib?: number;
  readonly linkOn?: string;
  /** Name of a volume that it only reads, perhaps with others. */
  readonly reads?: string;
}

export interface CallOptions {
  /** The node on which cxm is called; node1 when left out. */
  readonly at?: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class CliSandbox {
  readonly layout: Layout;
  /** A copy of dist. */
  readonly build: string;

  constructor() {
    this.build = keepBuild();
    const directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'cxm-cli-test-')));
    this.layout = layoutOf(directory);
    prepareSandbox(this.layout, this.build, { root: false, mounts: false, zstd: false });
    for (const { name } of this.layout.nodes) this.setKnobs(name, {});
  }

  /** Of the simulated xl; what is not named is as by default, but kernels need not exist. */
  setKnobs(node: string, knobs: Readonly<Record<string, unknown>>): void {
    const quick = { shutdownDelayMs: 50, teardownMs: 50, migrateCopyMs: 100, ignoreMissingKernel: true };
    fs.writeFileSync(join(nodeOf(this.layout, node).xen, 'knobs.json'), JSON.stringify({ ...quick, ...knobs }));
  }

  /** Writes a configuration and makes its volume `lv-NAME`, inactive everywhere. */
  addVm(name: string, { on = 'san', memoryMib = 256, linkOn, reads }: VmOptions = {}): void {
    const node = nodeOf(this.layout, on === 'san' ? 'node1' : on);
    const names = [`lv-${name}`, ...(reads === undefined ? [] : [reads])];
    changeGroup(node.groupDirectory, (volumes) => {
      for (const volume of names.filter((one) => !volumes.has(one))) {
        const file = join(node.groupDirectory, volume);
        fs.writeFileSync(file, '');
        fs.truncateSync(file, 4 * mib);
        volumes.set(volume, { uuid: lvmUuid(), sizeBytes: 4 * mib, roomBytes: 4 * mib, tags: [], origin: '' });
      }
    });
    const disks = names.map(
      (volume, index) => `'phy:/dev/${volumeGroup}/${volume},xvd${'ab'[index] ?? ''},${'wr'[index] ?? ''}'`,
    );
    const config = join(node.configDirectory, name);
    fs.writeFileSync(
      config,
      `name = '${name}'\nkernel = '/boot/vmlinuz'\nmemory = ${memoryMib}\nvcpus = 1\n` +
        `disk = [${disks.join(', ')}]\nvif = ['bridge=br0']\n`,
    );
    if (linkOn !== undefined) this.link(name, linkOn);
  }

  /** An autostart link, also where it should be none; none is made a second time. */
  link(vm: string, node: string): void {
    const { autostartDirectory, configDirectory } = nodeOf(this.layout, node);
    const link = join(autostartDirectory, vm);
    if (!fs.existsSync(link)) fs.symlinkSync(join(configDirectory, vm), link);
  }

  cxm(args: readonly string[], options: CallOptions = {}): Promise<Ended> {
    return endOf(this.start(args, options));
  }

  start(args: readonly string[], { at = 'node1', input = '', env = {} }: CallOptions = {}): ChildProcess {
    const child = spawn(join(this.layout.frontendPrograms, 'cxm'), args, {
      cwd: this.layout.temporary,
      env: { ...frontendEnvironment(this.layout, false), [nodeVariable]: at, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    return child;
  }

  /** The toolstack itself, past cxm. @param words without anything that a shell would change */
  xl(node: string, ...words: readonly string[]): Promise<Ended> {
    const child = spawn(join(this.layout.frontendPrograms, 'ssh'), [node, 'xl', ...words], {
      env: frontendEnvironment(this.layout, false),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return endOf(child);
  }

  /** Makes a node dead, or alive again. */
  setDown(node: string, down: boolean): void {
    const { downFile } = nodeOf(this.layout, node);
    if (down) fs.writeFileSync(downFile, '');
    else fs.rmSync(downFile, { force: true });
  }

  /** Nodes with a domain of that name, in any state. */
  nodesWith(vm: string): readonly string[] {
    return this.layout.nodes
      .filter(({ xen }) => new Store(xen).domains().some(({ name }) => name.startsWith(vm)))
      .map(({ name }) => name);
  }

  /** Nodes where the VM's volume, or another one by its name, is active. */
  activeOn(vm: string, volume = `lv-${vm}`): readonly string[] {
    return this.layout.nodes
      .filter(({ devices }) => fs.existsSync(join(devices, volumeGroup, volume)))
      .map(({ name }) => name);
  }

  linkedOn(vm: string): readonly string[] {
    return this.layout.nodes
      .filter(({ autostartDirectory }) => fs.existsSync(join(autostartDirectory, vm)))
      .map(({ name }) => name);
  }

  /** Everything that a command may change, to compare before and after. */
  snapshot(): object {
    return this.layout.nodes.map((node) => ({
      node: node.name,
      domains: new Store(node.xen).domains().map(({ id, name, paused }) => ({ id, name, paused })),
      active: list(join(node.devices, volumeGroup)),
      volumes: Object.keys(readGroup(node.groupDirectory).volumes),
      links: list(node.autostartDirectory),
      configs: list(node.configDirectory),
    }));
  }

  async close(): Promise<void> {
    await endProcesses(this.layout.directory);
    for (const { xen } of this.layout.nodes) {
      for (const { holders } of new Store(xen).domains()) {
        for (const { pid } of holders) process.kill(pid, 'SIGKILL');
      }
    }
    fs.rmSync(this.layout.directory, { recursive: true, force: true });
    fs.rmSync(this.build, { recursive: true, force: true });
  }
}

function list(directory: string): readonly string[] {
  return fs.existsSync(directory) ? fs.readdirSync(directory).sort() : [];
}
