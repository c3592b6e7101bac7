/**
 * A host for the operations on disks: volumes that are files, and a lock that can be lost, as when the action that
 * holds it is killed. What is done to the volume group without the lock fails, as it would do harm in earnest.
 */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noCluster } from '../../../src/agent/cluster-guard.ts';
import type { OperationContext } from '../../../src/agent/operation.ts';
import { parseDisk, type DiskParameters } from '../../../src/agent/operations/disk.ts';
import { resolveCxmrc, settingsFromRecord } from '../../../src/config/load.ts';
import { CxmError } from '../../../src/errors.ts';
import { localCommands } from '../../../src/host/commands.ts';
import { DirectoryVolumes } from '../../../src/sandbox/host/directory-volumes.ts';
import { createGroup } from '../../../src/sandbox/host/group-file.ts';
import { unprivilegedFileSystemTools } from '../../../src/transfer/unprivileged-filesystem.ts';

export const mebibyte = 1024 ** 2;

export class DiskHost {
  readonly root = mkdtempSync(join(tmpdir(), 'cxm-disks-'));
  readonly logged: string[] = [];
  /** Each time the lock was held, in milliseconds. */
  readonly heldMs: number[] = [];
  /** The action is gone, and the lock with it. */
  gone = false;
  readonly sent: Buffer[] = [];
  /** Called for each piece of data that is sent. */
  onData: () => void = () => undefined;
  private locked = false;
  readonly volumes: DirectoryVolumes;

  constructor() {
    createGroup(join(this.root, 'san'), 'VG0', 256 * mebibyte);
    const group = { name: 'VG0', directory: join(this.root, 'san'), devices: join(this.root, 'dev') };
    this.volumes = guarded(new DirectoryVolumes(localCommands, group), () => this.locked);
  }

  end(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  disk(vmId: number, diskId = 0): DiskParameters {
    return parseDisk({ vmId, diskId, cloud: 'fe', link: join(this.root, `${vmId}/disk.${diskId}`) });
  }

  context(settings: Readonly<Record<string, string>> = {}): OperationContext {
    return {
      settings: resolveCxmrc(settingsFromRecord({ VG_NAME: 'VG0', BUSY_TIMEOUT: '5', ...settings }, 'the test')),
      commands: localCommands,
      volumes: this.volumes,
      guard: noCluster,
      fileSystems: unprivilegedFileSystemTools(localCommands),
      owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      runDirectory: join(this.root, 'run'),
      log: (severity, text) => void this.logged.push(`${severity} ${text}`),
      withMetadataLock: (change) => this.withLock(change),
      ask: () => Promise.resolve(true),
      ready: () => Promise.resolve(),
      incoming: () => {
        throw new Error('nothing comes in');
      },
      rawInput: () => Promise.resolve(undefined),
      sendRaw: undefined,
      sendData: (data) => this.take(data),
      sendExtent: ({ data }) => this.take(Buffer.from(data)),
      sendEnd: () => Promise.resolve(),
      signal: new AbortController().signal,
    };
  }

  /** Name, tags that say more than whose it is, and whether it is active. */
  async state(): Promise<string[]> {
    return (await this.volumes.list()).map(({ name, tags, active }) =>
      [name, ...(tags.includes('cxm_partial') ? ['partial'] : []), active ? 'active' : 'inactive'].join(' '),
    );
  }

  /** Holds the volume's device open for a while. */
  hold(name: string, milliseconds: number): void {
    const descriptor = openSync(join(this.root, 'dev/VG0', name), 'r');
    setTimeout(() => closeSync(descriptor), milliseconds);
  }

  private async withLock<T>(change: () => Promise<T>): Promise<T> {
    if (this.gone) throw new CxmError('INTERRUPTED', 'the caller went away');
    const start = performance.now();
    this.locked = true;
    try {
      return await change();
    } finally {
      this.locked = false;
      this.heldMs.push(performance.now() - start);
    }
  }

  private take(data: Buffer): Promise<void> {
    this.sent.push(data);
    this.onData();
    return Promise.resolve();
  }
}

const changing: ReadonlySet<string | symbol> = new Set([
  'create',
  'remove',
  'extend',
  'absorb',
  'snapshot',
  'changeTags',
]);

/** The same volumes, which refuse every change that is not made under the lock. */
function guarded(volumes: DirectoryVolumes, locked: () => boolean): DirectoryVolumes {
  return new Proxy(volumes, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: readonly unknown[]): unknown => {
        if (changing.has(name) && !locked()) throw new Error(`${String(name)} without the lock`);
        return Reflect.apply(value, target, args);
      };
    },
  });
}
