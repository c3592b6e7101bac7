/**
 * The replay itself: each recorded call is made for real, and afterwards the world must be as the model says. A call that
 * fails must leave the world as it was.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { processesOf } from '../../src/sandbox/remove.ts';
import type { OneVersion } from '../support/recordings.ts';
import type { Call } from './calls.ts';
import { contextDiskOf, disksOf, documentOf, macsOf, valueIn } from './documents.ts';
import { writeContent } from './contents.ts';
import { Ground, imageKinds, type ImageKind, type Said } from './ground.ts';
import { Model, type Deed, type FreshDisk } from './model.ts';
import { bootIds, configurationPlace, observe } from './observe.ts';
import { hostInstead, particulars, simultaneous, type ByHand, type Fault, type Particular } from './particulars.ts';
import { systemDatastoreOf, Translation, type Translated } from './translate.ts';

/** oned polls from many threads. */
const pollsAtOnce = 4;

/** A call with all that is known before it is made. */
interface Prepared {
  readonly call: Call;
  readonly words: Translated;
  readonly deed: Deed;
  readonly particular: Particular | undefined;
}

export class Replay {
  readonly ground: Ground;
  readonly model: Model;
  /** Calls made, by driver and action. */
  readonly made = new Map<string, number>();
  private readonly translation: Translation;
  /** Which boot of a guest was saved, by VM. */
  private readonly savedGuests = new Map<number, string | undefined>();
  /** Of what guests and oned have written last. */
  private generation = 0;

  /** @param calls all of the version, in their order */
  constructor(
    readonly version: OneVersion,
    readonly calls: readonly Call[],
  ) {
    this.ground = Ground.make(version);
    const { layout } = this.ground;
    const places = {
      configurations: (node: string) => configurationPlace(layout, node),
      configurationPath: version === '3.8' ? '/cluster/etc/xen/vm' : '/etc/xen/vm',
    };
    this.model = new Model(places, observe(layout).images);
    this.translation = new Translation(layout, (host, call) => hostInstead(host, call));
  }

  end(): Promise<void> {
    return this.ground.end();
  }

  /** Makes the calls of a scenario, in their order. */
  async scenario(calls: readonly Call[]): Promise<void> {
    for (let index = 0; index < calls.length; index++) {
      const call = calls[index];
      if (call === undefined) return;
      const last = simultaneous[this.version][call.sequence];
      const group =
        last === undefined ? [call] : calls.filter(({ sequence }) => sequence >= call.sequence && sequence <= last);
      if (group.length > 1) await this.together(group);
      else await this.one(call);
      index += group.length - 1;
    }
  }

  async one(call: Call): Promise<void> {
    const particular = particulars[this.version][call.sequence];
    if (particular?.before !== undefined) await this.byHand(particular.before);
    const prepared = this.prepare(call);
    const before = bootIds(this.ground.layout);
    if (particular?.fault !== undefined) await this.fault(particular.fault, prepared, true);
    const said = await this.make(prepared);
    if (particular?.fault !== undefined) await this.fault(particular.fault, prepared, false);
    this.judge(prepared, said);
    if (particular?.fails === undefined) await this.bootEnds(call, before);
    if (particular?.fails === undefined) this.model.apply(prepared.deed);
    if (particular?.deactivates !== undefined) this.model.deactivate(prepared.deed.vmId, particular.deactivates);
    this.compare(call.file);
    if (particular?.fails === undefined) await this.judgeEffect(prepared, before);
    await this.repeat(prepared);
  }

  /** The same poll again and again: nothing changes, and the CPU time since the last one is known. */
  private async repeat(prepared: Prepared): Promise<void> {
    const { call } = prepared;
    for (let left = call.times - 1; left > 0; left -= pollsAtOnce) {
      const burst = Array.from({ length: Math.min(left, pollsAtOnce) }, () => this.make(prepared));
      for (const said of await Promise.all(burst)) this.judge(prepared, said);
    }
    if (call.times > 1) this.compare(`${call.file}, ${call.times} times`);
  }

  /** oned 3.8 makes the calls of its two drivers without waiting for each other. */
  private async together(calls: readonly Call[]): Promise<void> {
    const chain = async (driver: 'tm' | 'vmm'): Promise<[Prepared, Said][]> => {
      const done: [Prepared, Said][] = [];
      for (const call of calls.filter((one) => one.driver === driver)) {
        const prepared = this.prepare(call);
        done.push([prepared, await this.make(prepared)]);
      }
      return done;
    };
    const [transfers, machines] = await Promise.all([chain('tm'), chain('vmm')]);
    for (const [prepared, said] of [...machines, ...transfers]) {
      this.judge(prepared, said);
      this.model.apply(prepared.deed);
    }
    this.compare(calls.map(({ file }) => file).join(', '));
    for (const [prepared] of machines) await this.repeat(prepared);
  }

  private make(prepared: Prepared): Promise<Said> {
    const { call, words, deed } = prepared;
    const key = `${call.driver}/${call.action}`;
    this.made.set(key, (this.made.get(key) ?? 0) + 1);
    return this.ground.run(call, words, deed.node);
  }

  private prepare(call: Call): Prepared {
    const index = this.calls.indexOf(call);
    const machine = documentOf(this.calls, index);
    const words = this.translation.call(call, machine);
    if (call.action === 'context') this.ground.setContext(call.vmId ?? -1, ++this.generation);
    const deed = this.deedOf(call, words, machine ?? '');
    const particular = particulars[this.version][call.sequence];
    if (call.vmId !== undefined && machine !== undefined) {
      const document = this.translation.text(machine, call);
      this.ground.setMachine(call.vmId, document);
      if (call.action === 'deploy' && this.version === '7.x') {
        this.ground.leaveDocument(join(this.ground.layout.datastores, deed.directory), document);
        this.model.entries[`${deed.directory}/vm.xml`] = 'file';
      }
    }
    return { call, words, deed, particular };
  }

  private deedOf(call: Call, { argv }: Translated, machine: string): Deed {
    const vmId = call.vmId ?? -1;
    const place = argv.find((word) => /\/datastores\/\d+\/\d+/.test(word)) ?? '';
    const found = /\/datastores\/(\d+\/\d+)/.exec(place)?.[1];
    const host =
      call.driver === 'vmm' ? (call.argv.at(-1) ?? '') : (/^([^:/]+):.*\/datastores\/\d+\/\d+/.exec(place)?.[1] ?? '');
    return {
      driver: call.driver,
      action: call.action,
      vmId,
      argv: plainHosts(argv),
      node: call.driver === 'vmm' ? this.translation.node(host, call) : host,
      directory: found ?? `${systemDatastoreOf(call)}/${vmId}`,
      disk: Number(/\/disk\.(\d+)$/.exec(place)?.[1] ?? -1),
      contextDisk: contextDiskOf(machine),
      guest: this.guestOf(call, machine),
      fresh: this.freshOf(call, argv, machine),
    };
  }

  private guestOf(call: Call, machine: string): Deed['guest'] {
    const { vmId = -1, standardInput, action } = call;
    // The document's other MEMORY is what the VM uses.
    const template = /<TEMPLATE>[^]*<\/TEMPLATE>/.exec(machine)?.[0] ?? '';
    const xen = action === 'deploy' ? [...standardInput.matchAll(/\/disk\.(\d+),(\w+),/g)] : [];
    const disks =
      xen.length > 0
        ? xen.map(([, disk, target]) => [target ?? '', Number(disk)] as const)
        : disksOf(machine).map(({ target, diskId }) => [target, diskId] as const);
    const xenMacs =
      action === 'deploy' ? [...standardInput.matchAll(/mac=([0-9a-f:]+)/g)].map(([, mac]) => mac ?? '') : [];
    return {
      memoryMib: Number(valueIn(template, 'MEMORY')),
      vcpus: Number(valueIn(template, 'VCPU') ?? 1),
      name: `${valueIn(machine, 'NAME')}-${vmId}.${valueIn(machine, 'UNAME')}`,
      disks: Object.fromEntries(disks.map(([target, diskId]) => [target, `lv-one-${vmId}-${diskId}`])),
      macs: xenMacs.length > 0 ? xenMacs : macsOf(machine),
    };
  }

  private freshOf({ action }: Call, argv: readonly string[], machine: string): FreshDisk {
    const whole = (mib: number): number => Math.ceil(mib / 4) * 4;
    const disk = Number(/\/disk\.(\d+)$/.exec(argv.find((word) => /\/disk\.\d+$/.test(word)) ?? '')?.[1]);
    const volatile = (content: string, mib: number): FreshDisk => ({
      ...{ imageId: undefined, persistent: false },
      ...{ content, mib: whole(mib) },
    });
    switch (action) {
      case 'context':
        return volatile(`iso ${this.generation}`, 1);
      case 'mkswap':
        return volatile('swap', Number(argv[0]));
      case 'mkimage': {
        const type = argv[1] === 'raw' ? disksOf(machine).find(({ diskId }) => diskId === disk)?.fileSystem : argv[1];
        return volatile(type ?? 'zeros', Number(argv[0]));
      }
      case 'clone':
      case 'ln': {
        const imageId = Number(/image-(\d+)$/.exec(argv[0] ?? '')?.[1]);
        const content = this.model.images[`image-${imageId}`] ?? '';
        const kind = content.replace(/ \d+$/, '') as ImageKind;
        const mark = kind === 'archive' ? 'ext4 ' : '';
        return { imageId, persistent: action === 'ln', content: `${mark}${content}`, mib: imageKinds[kind] };
      }
      default:
        return volatile('', 0);
    }
  }

  /** Exit code and what is said, in the form of this version. */
  private judge({ call, deed, particular }: Prepared, { exitCode, stdout, stderr }: Said): void {
    const where = `${call.file}: ${call.driver}/${call.action} ${deed.argv.map((word) => word.slice(0, 60)).join(' ')}\n${stderr}`;
    if (particular?.fails === undefined) expect(exitCode, where).toBe(0);
    else {
      expect(exitCode, `${where} (${particular.why})`).toBe(1);
      expect(errorIn(stderr, this.version), where).toMatch(particular.fails);
      expect(stdout, where).toBe('');
      return;
    }
    if (particular?.warns !== undefined) expect(stderr, where).toMatch(particular.warns);
    if (call.action === 'deploy') {
      expect(stdout, where).toBe(`${deed.guest.name}\n`);
      this.translation.deployIds.set(deed.vmId, stdout.trim());
    } else if (call.action === 'poll') this.judgePoll(deed, stdout, where);
    else if (call.action === 'monitor') expect(stdout, where).toBe('USED_MB=0\nTOTAL_MB=65536\nFREE_MB=65536\n');
    else expect(stdout, where).toBe('');
  }

  private judgePoll({ vmId, node }: Deed, stdout: string, where: string): void {
    const name = this.model.nameOf(vmId);
    const runs = name !== undefined && this.model.domains[name]?.node === node;
    const line = runs ? /^STATE=a (USEDCPU=\d+ )?USEDMEMORY=262144 NETRX=\d+ NETTX=\d+\n$/ : /^STATE=d\n$/;
    expect(stdout, where).toMatch(line);
  }

  /** A guest that was asked to reboot does so by and by. */
  private async bootEnds({ action, vmId = -1 }: Call, before: ReadonlyMap<string, string>): Promise<void> {
    const name = this.model.nameOf(vmId);
    if (action !== 'reboot' || name === undefined) return;
    const { layout } = this.ground;
    const rebooted = (): boolean => bootIds(layout).get(name) !== before.get(name);
    const state = (): string | undefined => (rebooted() ? observe(layout).domains[name]?.state : 'as before');
    await expect.poll(state, { timeout: 20_000 }).toBe('running');
  }

  private compare(where: string): void {
    expect(observe(this.ground.layout), `after ${where}`).toEqual(this.model.expected());
  }

  private async judgeEffect({ call, deed }: Prepared, before: ReadonlyMap<string, string>): Promise<void> {
    const { action, vmId } = deed;
    const name = this.model.nameOf(vmId);
    const now = name === undefined ? undefined : bootIds(this.ground.layout).get(name);
    if (action === 'migrate' || action === 'poll') expect(now, call.file).toBe(before.get(name ?? ''));
    if (action === 'reboot' || action === 'reset') expect(now, call.file).not.toBe(before.get(name ?? ''));
    if (action === 'restore') expect(now, call.file).toBe(this.savedGuests.get(vmId));
    if (action === 'save') this.savedGuests.set(vmId, before.get(deed.guest.name));
    if (action === 'deploy' || action === 'restore') this.guestWrites(vmId);
  }

  /** A running guest changes its disks: what moves must be the newest. */
  private guestWrites(vmId: number): void {
    const { groupDirectory } = this.ground.layout.nodes[0] ?? { groupDirectory: '' };
    for (const name of this.model.volumesOf(vmId)) {
      const { content = '' } = this.model.volumes[name] ?? {};
      if (!/(archive|raw|data) \d+$/.test(content) || name.includes('_snap')) continue;
      const next = content.replace(/\d+$/, String(++this.generation));
      writeContent(join(groupDirectory, name), next, join(this.ground.layout.temporary, 'scratch'));
      this.model.change(name, { content: next });
    }
  }

  private async byHand(deed: ByHand): Promise<void> {
    const name = this.model.nameOf(deed.vmId) ?? '';
    if (deed.kind === 'vanished') {
      const { node = '' } = this.model.domains[name] ?? {};
      const { exitCode } = await this.ground.overSsh(node, `xl destroy ${name}\n`);
      expect(exitCode).toBe(0);
      delete this.model.domains[name];
      return;
    }
    const { vmId, from, to } = deed;
    await this.own('migrate', vmId, [name, to, from, String(vmId), from], from);
    this.compare('a migration by the cluster');
  }

  /**
   * Ends the VMs that the recorder left (and what other drivers than ours would have deleted), as oned would. Then
   * nothing is left of any VM but what it wrote to persistent images.
   */
  async endLives(): Promise<void> {
    const { domains, volumes, entries } = this.model;
    for (const [name, { node }] of Object.entries(domains)) {
      const vmId = Number(/-(\d+)\.[^.]*$/.exec(name)?.[1]);
      await this.own('cancel', vmId, [name, node, String(vmId), node], node);
    }
    const paths = Object.keys(entries).filter((entry) => /\/disk\.\d+$/.test(entry));
    const directories = new Set(Object.keys(entries).map((entry) => entry.replace(/\/[^/]*$/, '')));
    for (const path of [...paths, ...directories]) {
      const [datastore = '', vm = '', file] = path.split('/');
      const node = volumes[`lv-one-${vm}-${file?.slice(5)}`]?.active[0] ?? 'node1';
      const place = `${node}:${join(this.ground.layout.datastores, path)}`;
      await this.own('delete', Number(vm), [place, vm, datastore], node);
    }
    this.compare('the end of all VMs');
    // A host that a VM has left with its directory keeps the configuration for a restore there; nothing starts it.
    const { images, configurations, ...left } = this.model.expected();
    expect(Object.keys(images).length + Object.keys(configurations).length).toBeGreaterThan(0);
    expect(left).toEqual({ volumes: {}, domains: {}, autostart: [], entries: {}, litter: [] });
    await expect.poll(() => processesOf(this.ground.layout.directory), { timeout: 20_000 }).toEqual([]);
  }

  /** A call that nobody recorded. */
  private async own(
    action: 'cancel' | 'delete' | 'migrate',
    vmId: number,
    argv: string[],
    node: string,
  ): Promise<void> {
    const driver = action === 'delete' ? 'tm' : 'vmm';
    const like = this.calls.find((call) => call.driver === driver);
    if (like === undefined) throw new Error(`nothing of ${driver} to go by`);
    const call = { ...like, action, vmId, argv };
    const words = { argv, standardInput: '', document: undefined };
    const said = await this.ground.run(call, words, node);
    expect(said.exitCode, said.stderr).toBe(0);
    this.model.apply(this.deedOf(call, words, ''));
  }

  private async fault(fault: Fault, { deed }: Prepared, put: boolean): Promise<void> {
    const { ground } = this;
    switch (fault.kind) {
      case 'node-down':
        return ground.setDown(fault.node, put);
      case 'image-away':
        return ground.hideImage(fault.imageId, put);
      case 'knobs':
        return ground.turn(fault.node, put ? fault.knobs : {});
      case 'no-rights':
        return ground.takeRights(put);
      case 'target-taken': {
        const file = join(ground.layout.temporary, 'scratch/plugged');
        const name = this.model.nameOf(deed.vmId) ?? '';
        writeFileSync(file, '', { flag: 'a' });
        const words = put
          ? `block-attach ${name} ${file},raw,${fault.target},r`
          : `block-detach ${name} ${fault.target}`;
        const said = await ground.overSsh(deed.node, `xl ${words}\n`);
        expect(said.exitCode, said.stderr).toBe(0);
      }
    }
  }
}

/** Hosts before a colon as they are, without what the frontend is called. */
function plainHosts(argv: readonly string[]): string[] {
  return argv.map((word) => word.replace(/^(vm|lab-fe):/, 'frontend:'));
}

/** The one error of the action: up to 6.0 between two marks, later what is no line of the log. */
function errorIn(stderr: string, version: OneVersion): string {
  if (version === '3.8')
    return /^ERROR MESSAGE --8<------\n(.*)\nERROR MESSAGE ------>8--$/m.exec(stderr)?.[1] ?? `no error in ${stderr}`;
  const lines = stderr.split('\n').filter((line) => line !== '' && !/^(INFO|DEBUG|WARN|ERROR|ExitCode):/.test(line));
  return lines.length === 1 ? (lines[0] ?? '') : `${lines.length} errors in ${stderr}`;
}
