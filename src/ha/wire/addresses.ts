/**
 * Under which addresses the nodes are reached. Names are looked up beforehand and again now and then, so that a name server
 * that fails together with a node keeps nobody from speaking to the others; what was found stays until it is found anew.
 */
import { lookup } from 'node:dns/promises';

export interface AddressSettings {
  /** ALLOWED_NODES. */
  readonly nodes: readonly string[];
  /** NODE_ADDRESSES. */
  readonly given: readonly string[];
}

export class AddressBook {
  private readonly found = new Map<string, readonly string[]>();
  private given = new Map<string, readonly string[]>();

  constructor(private settings: AddressSettings) {
    this.change(settings);
  }

  change(settings: AddressSettings): void {
    this.settings = settings;
    this.given = givenAddresses(settings.given);
  }

  /** None if it has not been found yet. */
  of(node: string): readonly string[] {
    return this.given.get(node) ?? this.found.get(node) ?? [];
  }

  /** Addresses that were given for a node by hand. */
  givenOf(node: string): readonly string[] {
    return this.given.get(node) ?? [];
  }

  /** Is it one of a node? */
  has(address: string): boolean {
    return this.settings.nodes.some((name) => this.of(name).includes(address));
  }

  /** @returns nodes without any address */
  async refresh(): Promise<readonly string[]> {
    const names = this.settings.nodes.filter((name) => name !== '' && !this.given.has(name));
    await Promise.allSettled(
      names.map(async (name) => {
        const all = await lookup(name, { family: 4, all: true });
        this.found.set(name, [...new Set(all.map(({ address }) => address))]);
      }),
    );
    return names.filter((name) => this.of(name).length === 0);
  }
}

function givenAddresses(entries: readonly string[]): Map<string, readonly string[]> {
  const given = new Map<string, readonly string[]>();
  for (const entry of entries) {
    const [name = '', address = ''] = entry.split('=');
    given.set(name, [...(given.get(name) ?? []), address]);
  }
  return given;
}
