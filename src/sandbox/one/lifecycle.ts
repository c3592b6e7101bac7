/**
 * What oned 7.x has the drivers do for each wish of a user, in its order and with its arguments, and the states that a
 * VM goes through meanwhile. A failure leaves the state that oned has for it.
 */
import { join } from 'node:path';
import { frontendName, type Layout } from '../layout.ts';
import { CallFailed, type Caller, type CallResult } from './calls.ts';
import { actionMessage, datastoreDocument, vmDocument, type MessageDetails } from './documents.ts';
import { readRecords, writeRecords } from './record-files.ts';
import {
  hostOf,
  imageDatastore,
  imageOf,
  systemDatastore,
  vmOf,
  type DiskRecord,
  type ImageRecord,
  type NicRecord,
  type Records,
  type VmRecord,
  type VmState,
} from './records.ts';

export class Lifecycle {
  constructor(
    private readonly layout: Layout,
    private readonly caller: Caller,
  ) {}

  records(): Records {
    return readRecords(this.layout);
  }

  vm(id: number): VmRecord {
    return vmOf(this.records(), id);
  }

  register(image: ImageRecord): void {
    const { vms, images } = this.records();
    writeRecords(this.layout, { vms, images: [...images.filter(({ id }) => id !== image.id), image] });
  }

  allocate(vm: VmRecord): void {
    const { vms, images } = this.records();
    writeRecords(this.layout, { images, vms: [...vms.filter(({ id }) => id !== vm.id), vm] });
  }

  /** `onevm deploy`, and what the scheduler does with a VM that was stopped or undeployed. */
  async deploy(id: number, host: string): Promise<void> {
    const before = this.vm(id);
    const came = this.change(id, { history: [...before.history, host] });
    switch (before.state) {
      case 'HOLD':
        return this.firstDeploy(came, host);
      case 'STOPPED':
        await this.moveAll(came, frontendName, host);
        return this.restore(id, 'STOPPED');
      case 'UNDEPLOYED':
        await this.moveAll(came, frontendName, host);
        return this.boot(id);
      default:
        throw new Error(`VM ${id} is ${before.state}: it can't be deployed`);
    }
  }

  private async firstDeploy(vm: VmRecord, host: string): Promise<void> {
    this.change(vm.id, { state: 'PROLOG' });
    try {
      for (const disk of vm.disks) await this.makeDisk(vm, disk, host);
    } catch (error) {
      this.change(vm.id, { state: 'PROLOG_FAILURE' });
      throw error;
    }
    await this.boot(vm.id);
  }

  private async makeDisk(vm: VmRecord, disk: DiskRecord, host: string): Promise<CallResult> {
    const place = this.place(host, vm.id, disk.diskId);
    const { imageId, sizeMb } = disk;
    if (imageId === undefined) {
      const end = [place, String(vm.id), String(systemDatastore)];
      if (disk.volatile === 'swap') return this.caller.transfer('mkswap', [String(sizeMb), ...end]);
      return this.caller.transfer('mkimage', [String(sizeMb), 'raw', ...end]);
    }
    const image = imageOf(this.records().images, imageId);
    const args = [`${frontendName}:${image.source}`, place, String(vm.id), String(imageDatastore)];
    return this.caller.transfer(image.persistent ? 'ln' : 'clone', args);
  }

  private async boot(id: number): Promise<void> {
    const vm = this.change(id, { state: 'BOOT' });
    const host = hostOf(vm);
    const directory = this.directory(id);
    const { images } = this.records();
    try {
      await this.context(vm);
      const file = join(directory, `deployment.${vm.history.length - 1}`);
      const prepare = [
        `mkdir -p '${directory}'`,
        documentLine(join(directory, 'vm.xml'), vmDocument(vm, images)),
        documentLine(join(directory, 'ds.xml'), datastoreDocument(this.layout.datastores)),
      ];
      const args = [file, host, String(id), host];
      const data = vmDocument(vm, images).trimEnd();
      const { stdout } = await this.caller.machine(host, 'deploy', args, data, `${prepare.join('\n')}\n`);
      this.change(id, { state: 'RUNNING', deployId: stdout.trim().split(/\s/, 1)[0] ?? '' });
    } catch (error) {
      this.change(id, { state: 'BOOT_FAILURE' });
      throw error;
    }
  }

  private async context(vm: VmRecord): Promise<void> {
    if (vm.contextDisk === undefined) return;
    const source = join(this.layout.one, 'vms', String(vm.id), 'context.sh');
    const place = this.place(hostOf(vm), vm.id, vm.contextDisk);
    await this.caller.transfer('context', [source, place, String(vm.id), String(systemDatastore)]);
  }

  /** `onevm suspend`. */
  async suspend(id: number): Promise<void> {
    const checkpoint = this.checkpoint(id);
    await this.onHost(id, 'save', [checkpoint], { checkpoint });
    this.change(id, { state: 'SUSPENDED' });
  }

  /** `onevm resume` of a suspended VM or one that is powered off: on the same host. */
  async resume(id: number): Promise<void> {
    const { state } = this.vm(id);
    if (state === 'SUSPENDED') return this.restore(id, 'SUSPENDED');
    if (state === 'POWEROFF') return this.boot(id);
    throw new Error(`VM ${id} is ${state}: it can't be resumed here; use onevm deploy`);
  }

  private async restore(id: number, before: VmState): Promise<void> {
    const vm = this.change(id, { state: 'BOOT' });
    const host = hostOf(vm);
    const checkpoint = this.checkpoint(id);
    try {
      await this.context(vm);
      const message = this.message(vm, { host, checkpoint });
      await this.caller.machine(host, 'restore', [checkpoint, host, vm.deployId, String(id), host], message);
    } catch (error) {
      this.change(id, { state: before });
      throw error;
    }
    this.change(id, { state: 'RUNNING' });
  }

  /** `onevm stop`: memory and disks go to the frontend. */
  async stop(id: number): Promise<void> {
    const checkpoint = this.checkpoint(id);
    await this.onHost(id, 'save', [checkpoint], { checkpoint });
    const vm = this.vm(id);
    await this.moveAll(vm, hostOf(vm), frontendName);
    this.change(id, { state: 'STOPPED' });
  }

  /** `onevm undeploy`: the VM is shut down and its disks go to the frontend. */
  async undeploy(id: number): Promise<void> {
    const vm = await this.onHost(id, 'shutdown', []);
    await this.moveAll(vm, hostOf(vm), frontendName);
    this.change(id, { state: 'UNDEPLOYED' });
  }

  /** `onevm poweroff`. */
  async poweroff(id: number): Promise<void> {
    await this.onHost(id, 'shutdown', []);
    this.change(id, { state: 'POWEROFF' });
  }

  /** `onevm reboot`. */
  async reboot(id: number): Promise<void> {
    await this.onHost(id, 'reboot', []);
  }

  /** `onevm migrate --live`. */
  async migrateLive(id: number, destination: string): Promise<void> {
    const source = hostOf(this.vm(id));
    if (source === destination) throw new Error(`VM ${id} is on ${source} already`);
    const before = this.vm(id).history;
    const vm = this.change(id, { state: 'MIGRATE', history: [...before, destination] });
    const document = Buffer.from(vmDocument(vm, this.records().images)).toString('base64');
    const args = [source, destination, this.directory(id), String(id), String(systemDatastore)];
    try {
      await this.caller.transfer('premigrate', args, document);
      const message = this.message(vm, { host: source, migrationHost: destination });
      await this.caller.machine(source, 'migrate', [vm.deployId, destination, source, String(id), source], message);
    } catch (error) {
      await this.caller.transfer('failmigrate', args, document).catch(() => undefined);
      this.change(id, { state: 'RUNNING', history: before });
      throw error;
    }
    await this.caller.transfer('postmigrate', args, document).catch(ignoreFailure);
    this.change(id, { state: 'RUNNING' });
  }

  /** `onevm migrate`: saved here, restored there. */
  async migrateCold(id: number, destination: string): Promise<void> {
    const source = hostOf(this.vm(id));
    const checkpoint = this.checkpoint(id);
    await this.onHost(id, 'save', [checkpoint], { checkpoint });
    const vm = this.change(id, { history: [...this.vm(id).history, destination] });
    await this.moveAll(vm, source, destination);
    await this.restore(id, 'SUSPENDED');
  }

  /** `onevm disk-attach`. */
  async attachDisk(id: number, disk: DiskRecord): Promise<void> {
    const before = this.vm(id);
    const host = hostOf(before);
    const vm = this.change(id, { disks: [...before.disks, { ...disk, attached: true }] });
    try {
      await this.makeDisk(vm, disk, host);
      const path = join(this.directory(id), `disk.${disk.diskId}`);
      const message = this.message(vm, { host, diskPath: path, attach: disk.diskId });
      const encoded = Buffer.from(message).toString('base64');
      const index = String(disk.target.charCodeAt(disk.target.length - 1) - 97);
      const args = [vm.deployId, path, disk.target, index, encoded, String(id), host];
      await this.caller.machine(host, 'attach_disk', args, message);
    } catch (error) {
      await this.deleteDisk(vm, disk).catch(ignoreFailure);
      this.change(id, { disks: before.disks });
      throw error;
    }
  }

  /** `onevm disk-detach`. */
  async detachDisk(id: number, diskId: number): Promise<void> {
    const vm = this.vm(id);
    const disk = vm.disks.find((candidate) => candidate.diskId === diskId);
    if (disk === undefined) throw new Error(`VM ${id} has no disk ${diskId}`);
    const path = join(this.directory(id), `disk.${diskId}`);
    const index = String(disk.target.charCodeAt(disk.target.length - 1) - 97);
    await this.onHost(id, 'detach_disk', [path, disk.target, index], { diskPath: path }, false);
    await this.endDisk(vm, disk);
    this.change(id, { disks: vm.disks.filter((candidate) => candidate.diskId !== diskId) });
  }

  /** `onevm nic-attach`: the context of the guest is made anew for it. */
  async attachNic(id: number, nic: NicRecord): Promise<void> {
    const before = this.vm(id);
    const host = hostOf(before);
    const vm = this.change(id, { nics: [...before.nics, nic] });
    const end = [String(id), host];
    const message = this.message(vm, { host });
    const device = `one-${id}-${nic.nicId}`;
    const call = (action: string, args: readonly string[]): Promise<CallResult> =>
      this.caller.machine(host, action, [vm.deployId, ...args, ...end], message);
    try {
      await call('attach_nic', [nic.mac, nic.bridge, '-', 'dummy', device]);
    } catch (error) {
      this.change(id, { nics: before.nics });
      throw error;
    }
    if (vm.contextDisk === undefined) return;
    await call('prereconfigure', ['xvdz']);
    await this.context(vm);
    await call('reconfigure', ['xvdz', join(this.directory(id), `disk.${vm.contextDisk}`)]);
  }

  /** `onevm nic-detach`. */
  async detachNic(id: number, nicId: number): Promise<void> {
    const vm = this.vm(id);
    const nic = vm.nics.find((candidate) => candidate.nicId === nicId);
    if (nic === undefined) throw new Error(`VM ${id} has no NIC ${nicId}`);
    await this.onHost(id, 'detach_nic', [nic.mac], {}, false);
    this.change(id, { nics: vm.nics.filter((candidate) => candidate.nicId !== nicId) });
  }

  /** `onevm disk-saveas`: a copy of a disk as a new image, while the VM runs. @returns the image's file */
  async saveAs(id: number, diskId: number, name: string): Promise<string> {
    const vm = this.vm(id);
    const { images } = this.records();
    const disk = vm.disks.find((candidate) => candidate.diskId === diskId);
    if (disk === undefined) throw new Error(`VM ${id} has no disk ${diskId}`);
    if (images.some((image) => image.name === name)) throw new Error(`there is an image ${name} already`);
    const source = join(this.layout.datastores, String(imageDatastore), name);
    const imageId = Math.max(-1, ...images.map((image) => image.id)) + 1;
    this.register({ id: imageId, name, source, sizeMb: disk.sizeMb, persistent: false });
    const args = [this.place(hostOf(vm), id, diskId), source, '-1', String(id), String(imageDatastore)];
    await this.caller.transfer('cpds', args);
    return source;
  }

  /** `onevm terminate`: persistent disks go back, everything else goes. */
  async terminate(id: number): Promise<void> {
    const { state } = this.vm(id);
    if (state === 'RUNNING') await this.onHost(id, 'shutdown', []);
    const vm = this.vm(id);
    for (const disk of vm.disks) await this.endDisk(vm, disk);
    const place = `${this.machineOf(vm)}:${this.directory(id)}`;
    await this.caller.transfer('delete', [place, String(id), String(systemDatastore)]);
    this.change(id, { state: 'DONE' });
  }

  private async endDisk(vm: VmRecord, disk: DiskRecord): Promise<void> {
    const image = disk.imageId === undefined ? undefined : imageOf(this.records().images, disk.imageId);
    if (image?.persistent !== true) return this.deleteDisk(vm, disk);
    const place = this.place(this.machineOf(vm), vm.id, disk.diskId);
    await this.caller.transfer('mvds', [place, image.source, String(vm.id), String(imageDatastore)]);
  }

  private async deleteDisk(vm: VmRecord, disk: DiskRecord): Promise<void> {
    const place = this.place(this.machineOf(vm), vm.id, disk.diskId);
    await this.caller.transfer('delete', [place, String(vm.id), String(datastoreOf(disk))]);
  }

  /** `poll`, which OpenNebula 3.8 asks for. */
  poll(id: number): Promise<CallResult> {
    const vm = this.vm(id);
    const host = hostOf(vm);
    return this.caller.machine(host, 'poll', [vm.deployId, host, String(id), host], '');
  }

  /** What the datastore driver asks of a shared system datastore. */
  monitorDatastore(): Promise<CallResult> {
    const document = `<DS_DRIVER_ACTION_DATA>${datastoreDocument(this.layout.datastores)}</DS_DRIVER_ACTION_DATA>`;
    return this.caller.transfer('monitor', [String(systemDatastore)], Buffer.from(document).toString('base64'));
  }

  private async moveAll(vm: VmRecord, from: string, to: string): Promise<void> {
    for (const disk of vm.disks) {
      const [source, destination] = [this.place(from, vm.id, disk.diskId), this.place(to, vm.id, disk.diskId)];
      await this.caller.transfer('mv', [source, destination, String(vm.id), String(datastoreOf(disk))]);
    }
    const directory = this.directory(vm.id);
    const end = [String(vm.id), String(systemDatastore)];
    await this.caller.transfer('mv', [`${from}:${directory}`, `${to}:${directory}`, ...end]);
  }

  /** An action on the VM's host with the deploy id in front and, for those that have it, the host behind. */
  private async onHost(
    id: number,
    action: string,
    args: readonly string[],
    details: Omit<MessageDetails, 'host'> = {},
    withHost = true,
  ): Promise<VmRecord> {
    const vm = this.vm(id);
    if (vm.state !== 'RUNNING') throw new Error(`VM ${id} is ${vm.state}: this needs a running VM`);
    const host = hostOf(vm);
    const words = [vm.deployId, ...args, ...(withHost ? [host] : []), String(id), host];
    await this.caller.machine(host, action, words, this.message(vm, { ...details, host }));
    return vm;
  }

  private message(vm: VmRecord, details: MessageDetails): string {
    return actionMessage(vm, this.records().images, details);
  }

  private change(id: number, changes: Partial<VmRecord>): VmRecord {
    const { vms, images } = this.records();
    const changed = { ...vmOf({ vms, images }, id), ...changes };
    writeRecords(this.layout, { images, vms: vms.map((vm) => (vm.id === id ? changed : vm)) });
    return changed;
  }

  /** Where the disks of a VM are: those of one that was stopped are on the frontend. */
  private machineOf(vm: VmRecord): string {
    return vm.state === 'STOPPED' || vm.state === 'UNDEPLOYED' ? frontendName : hostOf(vm);
  }

  private directory(id: number): string {
    return join(this.layout.datastores, String(systemDatastore), String(id));
  }

  private checkpoint(id: number): string {
    return join(this.directory(id), 'checkpoint');
  }

  private place(machine: string, id: number, diskId: number): string {
    return `${machine}:${join(this.directory(id), `disk.${diskId}`)}`;
  }
}

function datastoreOf(disk: DiskRecord): number {
  return disk.imageId === undefined ? systemDatastore : imageDatastore;
}

/** A line of the host's shell that writes a document, as oned 6.0 and later send before a deploy. */
function documentLine(path: string, text: string): string {
  return `cat << 'EOT' > '${path}'\n${text.trimEnd()}\nEOT`;
}

/** oned only notes the failure of what comes after the fact. */
function ignoreFailure(error: unknown): undefined {
  if (error instanceof CallFailed) return undefined;
  throw error;
}
