/**
 * The simulated host's state directory: `domains/<id>.json`, `next-id`, `host.json`, `knobs.json` and `lock`. Every change
 * happens under the lock and each file is replaced as a whole, so that any number of calls may run at once. Domains whose
 * host was booted since, or whose disks nobody holds any more, are gone and are swept away by the next call; so are files
 * that a loss of power has left empty.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { SimulatedDomain } from './domain.ts';
import { isAlive } from './holder.ts';
import { defaultHost, defaultKnobs, merge } from './knobs.ts';
import type { Knobs, SimulatedHost } from './knobs.ts';

export class Store {
  readonly directory: string;
  readonly host: SimulatedHost;
  readonly hostBootId: string;
  private readonly domainsDirectory: string;

  constructor(directory: string) {
    this.directory = directory;
    this.domainsDirectory = join(directory, 'domains');
    mkdirSync(this.domainsDirectory, { recursive: true });
    const host = merge('host.json', defaultHost, readOptional(join(directory, 'host.json')));
    this.host = host.name === '' ? { ...host, name: hostname() } : host;
    this.hostBootId = readOptional('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown';
  }

  /** Read afresh each time: a test may turn a knob while a call is under way. */
  get knobs(): Knobs {
    return merge('knobs.json', defaultKnobs, readOptional(join(this.directory, 'knobs.json')));
  }

  /**
   * Runs a change alone. The lock is flock(2)'s, taken by util-linux's `flock` on our open file: it ends with this process,
   * however that ends. Held for the change only, never for a delay.
   */
  locked<Result>(change: () => Result): Result {
    const descriptor = openSync(join(this.directory, 'lock'), 'a');
    try {
      const taken = spawnSync('flock', ['-x', '-w', '60', '3'], { stdio: ['ignore', 'ignore', 'ignore', descriptor] });
      if (taken.status !== 0) throw new Error('the lock of the simulated host could not be taken within 60 s');
      this.sweep();
      return change();
    } finally {
      closeSync(descriptor);
    }
  }

  /** All domains but domain 0, by id. */
  domains(): readonly SimulatedDomain[] {
    return this.readAll().filter((domain) => this.isHere(domain));
  }

  get(id: number): SimulatedDomain | undefined {
    return this.domains().find((domain) => domain.id === id);
  }

  /** Only under the lock. */
  put(domain: SimulatedDomain): void {
    replaceFile(this.path(domain.id), `${JSON.stringify(domain, null, 2)}\n`);
  }

  /** Only under the lock. */
  remove(id: number): void {
    rmSync(this.path(id), { force: true });
  }

  /** Changes a domain if it is still there, and says what it is then. */
  update(id: number, change: (domain: SimulatedDomain) => SimulatedDomain): SimulatedDomain | undefined {
    return this.locked(() => {
      const domain = this.get(id);
      if (domain === undefined) return undefined;
      const changed = change(domain);
      this.put(changed);
      return changed;
    });
  }

  /** Ids grow for ever, also by domains that could not be made, as the hypervisor's do. Only under the lock. */
  nextId(): number {
    const path = join(this.directory, 'next-id');
    // 0 is domain 0's.
    const id = Number(readOptional(path)?.trim()) || 1;
    replaceFile(path, String(id + 1));
    return id;
  }

  freeMemoryKib(): number {
    const used = this.domains().reduce((sum, domain) => sum + domain.settings.memoryKib, 0);
    return (this.host.memoryMib - this.host.domainZeroMemoryMib) * 1024 - used;
  }

  private isHere(domain: SimulatedDomain): boolean {
    if (domain.hostBootId !== this.hostBootId) return false;
    if (domain.building !== undefined && !isAlive(domain.building.by)) return false;
    return domain.holders.every((holder) => isAlive(holder));
  }

  private sweep(): void {
    for (const domain of this.readAll()) {
      if (this.isHere(domain)) continue;
      for (const holder of domain.holders) {
        if (isAlive(holder)) process.kill(holder.pid, 'SIGKILL');
      }
      this.remove(domain.id);
    }
  }

  private readAll(): readonly SimulatedDomain[] {
    const found: SimulatedDomain[] = [];
    for (const name of readdirSync(this.domainsDirectory)) {
      if (!/^\d+\.json$/.test(name)) continue;
      const text = readOptional(join(this.domainsDirectory, name));
      const domain = text === undefined ? undefined : parsed(text);
      if (domain !== undefined) found.push(domain);
    }
    return found.sort((one, other) => one.id - other.id);
  }

  private path(id: number): string {
    return join(this.domainsDirectory, `${id}.json`);
  }
}

/** Undefined for what was not on the medium yet when the power was lost: nothing of it runs. */
function parsed(text: string): SimulatedDomain | undefined {
  try {
    return JSON.parse(text) as SimulatedDomain;
  } catch {
    return undefined;
  }
}

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function replaceFile(path: string, text: string): void {
  const fresh = `${path}.${process.pid}.new`;
  writeFileSync(fresh, text);
  renameSync(fresh, path);
}
