/**
 * The replay itself: each recorded call is made for real, and afterwards the world must be as the model says. A call that
 * fails must leave the world as it was.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { OneVersion } from '../support/recordings.ts';
import type { Call } from './calls.ts';
import { disksOf, documentOf, macsOf, valueIn } from './documents.ts';
import { Ground, imageKinds, type Said } from './ground.ts';
import { Model, type Deed } from './model.ts';
import { bootIds, configurationPlace, contentOf, observe } from './observe.ts';
import { hostInstead, particulars, simultaneous, type ByHand, type Fault, type Particular } from './particulars.ts';
import { systemDatastoreOf, Translation, type Translated } from './translate.ts';

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
  private generation = 0;

  /** @param calls all of the version, in their order */
  constructor(
    readonly version: OneVersion,
    readonly calls: readonly Call[],
  ) {
    this.ground = Ground.make(version);
    const { layout } = this.ground;
    this.model = new Model((node) => configurationPlace(layout, node));
    this.translation = new Translation(layout, (host, call) => hostInstead(host, call));
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
    if (particular?.fails === undefined) this.model.apply(prepared.deed);
    this.compare(call.file);
    if (particular?.fails === undefined) await this.judgeEffect(prepared, before);
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
      guest: this.guestOf(call, machine),
      fresh: this.freshOf(call, argv, machine),
    };
  }

  private guestOf(call: Call, machine: string): Deed['guest'] {
    const { vmId = -1, standardInput, action } = call;
    const xen = action === 'deploy' ? [...standardInput.matchAll(/\/disk\.(\d+),(\w+),/g)] : [];
    const disks =
      xen.length > 0
        ? xen.map(([, disk, target]) => [target ?? '', Number(disk)] as const)
        : disksOf(machine).map(({ target, diskId }) => [target, diskId] as const);
    const xenMacs =
      action === 'deploy' ? [...standardInput.matchAll(/mac=([0-9a-f:]+)/g)].map(([, mac]) => mac ?? '') : [];
    return {
      name: `${valueIn(machine, 'NAME')}-${vmId}.${valueIn(machine, 'UNAME')}`,
      disks: Object.fromEntries(disks.map(([target, diskId]) => [target, `lv-one-${vmId}-${diskId}`])),
      macs: xenMacs.length > 0 ? xenMacs : macsOf(machine),
    };
  }

  private freshOf({ action }: Call, argv: readonly string[], machine: string): Deed['fresh'] {
    const whole = (mib: number): number => Math.ceil(mib / 4) * 4;
    const disk = Number(/\/disk\.(\d+)$/.exec(argv.find((word) => /\/disk\.\d+$/.test(word)) ?? '')?.[1]);
    switch (action) {
      case 'context':
        return { content: 'iso', mib: 4 };
      case 'mkswap':
        return { content: 'swap', mib: whole(Number(argv[0])) };
      case 'mkimage': {
        const type = argv[1] === 'raw' ? disksOf(machine).find(({ diskId }) => diskId === disk)?.fileSystem : argv[1];
        return { content: type ?? 'zeros', mib: whole(Number(argv[0])) };
      }
      case 'clone':
      case 'ln': {
        const imageId = Number(/image-(\d+)$/.exec(argv[0] ?? '')?.[1]);
        const content = this.imageContents.get(imageId) ?? this.original(imageId);
        const kind = this.kindOf(imageId);
        return { content: kind === 'archive' ? `ext4 ${content}` : content, mib: imageKinds[kind] };
      }
      default:
        return { content: '', mib: 0 };
    }
  }

  /** Images into which disks were saved. */
  private readonly imageContents = new Map<number, string>();

  private original(imageId: number): string {
    return `${this.kindOf(imageId)} 0`;
  }

  private kindOf(imageId: number): keyof typeof imageKinds {
    const first = this.version === '3.8' ? 0 : 1;
    return imageId === first + 1 ? 'raw' : imageId === first + 2 ? 'data' : 'archive';
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
    else if (call.action === 'monitor')
      expect(stdout, where).toMatch(/^USED_MB=\d+\nTOTAL_MB=\d+\nFREE_MB=\d+\n(VM=.*\n)*$/);
    else expect(stdout, where).toBe('');
  }

  private judgePoll({ vmId, node }: Deed, stdout: string, where: string): void {
    const name = this.model.nameOf(vmId);
    const runs = name !== undefined && this.model.domains[name]?.node === node;
    const line = runs ? /^STATE=a USEDCPU=\d+ USEDMEMORY=262144 NETRX=\d+ NETTX=\d+\n$/ : /^STATE=d\n$/;
    expect(stdout, where).toMatch(line);
  }

  private compare(where: string): void {
    expect(observe(this.ground.layout), `after ${where}`).toEqual(this.model.expected());
  }

  private async judgeEffect({ call, deed, words }: Prepared, before: ReadonlyMap<string, string>): Promise<void> {
    const { action, vmId } = deed;
    const name = this.model.nameOf(vmId);
    const now = name === undefined ? undefined : bootIds(this.ground.layout).get(name);
    if (action === 'migrate' || action === 'poll') expect(now, call.file).toBe(before.get(name ?? ''));
    if (action === 'reboot' || action === 'reset') {
      await expect.poll(() => bootIds(this.ground.layout).get(name ?? '')).not.toBe(before.get(name ?? ''));
    }
    if (action === 'restore') expect(now, call.file).toBe(this.savedGuests.get(vmId));
    if (action === 'save')
      this.savedGuests.set(vmId, before.get([...before.keys()].find((key) => key === deed.guest.name) ?? ''));
    if (action === 'deploy' || action === 'restore') this.guestWrites(vmId);
    if (action === 'mvds' || action === 'cpds') this.judgeImage(call, words, deed);
  }

  private readonly savedGuests = new Map<number, string | undefined>();
  /** Contents of disks as they were before they were saved and removed. */
  private readonly lastContents = new Map<string, string>();

  /** A running guest changes its disks: what moves must be the newest. */
  private guestWrites(vmId: number): void {
    const { groupDirectory } = this.ground.layout.nodes[0] ?? { groupDirectory: '' };
    for (const name of this.model.volumesOf(vmId)) {
      const { content = '' } = this.model.volumes[name] ?? {};
      if (!/ \d+$/.test(content) || name.includes('_snap')) continue;
      const next = content.replace(/\d+$/, String(++this.generation));
      const file = join(groupDirectory, name);
      if (content.startsWith('ext')) writeMarker(file, next.slice(5), this.ground.layout.temporary);
      else writeHead(file, `cxm-replay ${next}\n`);
      this.model.change(name, { content: next });
      this.lastContents.set(name, next);
    }
  }

  /** What was saved is what the disk held: as an archive of its files, or as an image of its blocks. */
  private judgeImage(call: Call, { argv }: Translated, { vmId, disk }: Deed): void {
    const image = (argv[1] ?? '').replace(/^[^/:]*:/, '');
    const source = `lv-one-${vmId}-${disk}`;
    const snapshot = call.argv.length > 4 && call.argv.at(-3) !== '-1' ? `_snap${call.argv.at(-3)}` : '';
    const held = this.model.volumes[`${source}${snapshot}`]?.content ?? this.lastContents.get(source) ?? '';
    expect(savedContent(image, this.ground.layout.temporary), call.file).toBe(held.replace(/^ext4 /, ''));
    const imageId = Number(/image-(\d+)$/.exec(image)?.[1]);
    this.imageContents.set(imageId, held.replace(/^ext4 /, ''));
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
    const argv = [name, to, from, String(vmId), from];
    await this.own('migrate', vmId, argv, from);
    const nothing = { guest: { name, disks: {}, macs: [] }, fresh: { content: '', mib: 0 }, directory: '', disk: -1 };
    this.model.apply({ ...nothing, driver: 'vmm', action: 'migrate', vmId, argv, node: from });
    this.compare('a migration by the cluster');
  }

  /**
   * Ends the VMs that the recorder left (and what other drivers than ours would have deleted), as oned would. Then
   * nothing is left of any VM.
   */
  async endLives(): Promise<void> {
    const { deployIds } = this.translation;
    const { domains, entries } = observe(this.ground.layout);
    for (const [name, { node }] of Object.entries(domains)) {
      const vmId = [...deployIds].find(([, id]) => id === name)?.[0] ?? -1;
      await this.own('cancel', vmId, [name, node, String(vmId), node], node);
    }
    const directories = new Set(Object.keys(entries).map((entry) => entry.split('/').slice(0, 2).join('/')));
    for (const directory of directories) {
      const [datastore = '', vm = ''] = directory.split('/');
      const place = `node1:${join(this.ground.layout.datastores, directory)}`;
      await this.own('delete', Number(vm), [place, vm, datastore], '');
    }
    const nothing = { volumes: {}, domains: {}, configurations: {}, autostart: [], entries: {}, litter: [] };
    expect(observe(this.ground.layout)).toEqual(nothing);
  }

  /** A call that nobody recorded. */
  private async own(action: string, vmId: number, argv: readonly string[], node: string): Promise<void> {
    const like = this.calls.find((call) => call.action === action);
    if (like === undefined) throw new Error(`no ${action} to go by`);
    const call = { ...like, vmId, argv, standardInput: '', document: undefined };
    const said = await this.ground.run(call, { argv, standardInput: '', document: undefined }, node);
    expect(said.exitCode, said.stderr).toBe(0);
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

function writeHead(file: string, text: string): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, text, 0);
  closeSync(descriptor);
}

function writeMarker(file: string, text: string, temporary: string): void {
  const source = join(temporary, 'scratch/marker');
  writeFileSync(source, text);
  execFileSync('debugfs', ['-w', '-R', 'rm /marker', file], { stdio: 'ignore' });
  execFileSync('debugfs', ['-w', '-R', `write ${source} /marker`, file], { stdio: 'ignore' });
}

/** Of an image that a disk was saved in. */
function savedContent(image: string, temporary: string): string {
  const plain = join(temporary, 'scratch/saved');
  try {
    execFileSync('sh', [
      '-c',
      'zstd -dcq -- "$1" >"$2" 2>/dev/null || cp --sparse=always -- "$1" "$2"',
      'sh',
      image,
      plain,
    ]);
    try {
      return execFileSync('tar', ['-xOf', plain, './marker'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } catch {
      return contentOf(plain);
    }
  } finally {
    rmSync(plain, { force: true });
  }
}
