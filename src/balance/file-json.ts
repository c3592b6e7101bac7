/** A cluster file as JSON: the types of state.ts as they are, with a version. See docs/balancer.md. */
import type { ClusterFile } from './file.ts';
import { invalid, quote, type BalanceNode, type BalanceRules, type BalanceVm } from './state.ts';

export const fileVersion = 1;

/** @throws CxmError INVALID_INPUT naming the field, as `vms[3].memoryMib` */
export function parseJsonFile(text: string, fileName: string): ClusterFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`${fileName} is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const file = new Field(value, `${fileName}: `, '');
  file.only(['version', 'nodes', 'vms', 'rules']);
  const version = file.get('version').value;
  if (version !== fileVersion) throw invalid(`${fileName}: version is ${show(version)}, but must be ${fileVersion}`);
  const state = { nodes: file.get('nodes').items().map(readNode), vms: file.get('vms').items().map(readVm) };
  return { state, rules: file.has('rules') ? readRules(file.get('rules')) : {} };
}

/** Read back it is the same. */
export function renderJsonFile({ state, rules }: ClusterFile): string {
  const vms = state.vms.map(({ node, ...vm }) => (node === undefined ? vm : { ...vm, node }));
  return `${JSON.stringify({ version: fileVersion, nodes: state.nodes, vms, rules }, null, 2)}\n`;
}

function readNode(field: Field): BalanceNode {
  field.only(['name', 'memoryMib', 'cpus', 'ready', 'accepting']);
  return {
    name: field.get('name').text(),
    memoryMib: field.get('memoryMib').number(),
    cpus: field.has('cpus') ? field.get('cpus').number() : 0,
    ready: field.has('ready') ? field.get('ready').flag() : true,
    accepting: field.has('accepting') ? field.get('accepting').flag() : true,
  };
}

function readVm(field: Field): BalanceVm {
  field.only(['name', 'node', 'memoryMib', 'cpuPercent']);
  return {
    name: field.get('name').text(),
    node: field.has('node') ? field.get('node').text() : undefined,
    memoryMib: field.get('memoryMib').number(),
    cpuPercent: field.has('cpuPercent') ? field.get('cpuPercent').number() : 0,
  };
}

function readRules(field: Field): BalanceRules {
  field.only(['pinned', 'ignored', 'together', 'apart', 'empty']);
  const groups = (key: string): string[][] =>
    field
      .get(key)
      .items()
      .map((group) => group.texts());
  return {
    ...(field.has('pinned') && {
      pinned: field
        .get('pinned')
        .items()
        .map((pin) => {
          pin.only(['vm', 'nodes']);
          return { vm: pin.get('vm').text(), nodes: pin.get('nodes').texts() };
        }),
    }),
    ...(field.has('ignored') && { ignored: field.get('ignored').texts() }),
    ...(field.has('together') && { together: groups('together') }),
    ...(field.has('apart') && { apart: groups('apart') }),
    ...(field.has('empty') && { empty: field.get('empty').texts() }),
  };
}

/** A value and where it stands in the file, for messages. */
class Field {
  readonly value: unknown;
  private readonly file: string;
  private readonly path: string;

  constructor(value: unknown, file: string, path: string) {
    this.value = value;
    this.file = file;
    this.path = path;
  }

  private wrong(what: string): never {
    throw invalid(
      `${this.file}${this.path === '' ? 'the whole' : this.path} is ${show(this.value)}, but must be ${what}`,
    );
  }

  private record(): Readonly<Record<string, unknown>> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.wrong('an object');
    return value as Readonly<Record<string, unknown>>;
  }

  only(keys: readonly string[]): void {
    const unknown = Object.keys(this.record()).find((key) => !keys.includes(key));
    if (unknown === undefined) return;
    const place = this.path === '' ? '' : `${this.path}: `;
    throw invalid(`${this.file}${place}there is no field ${quote(unknown)}; known are ${keys.join(', ')}`);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.record(), key);
  }

  get(key: string): Field {
    const record = this.record();
    const path = this.path === '' ? key : `${this.path}.${key}`;
    return new Field(Object.hasOwn(record, key) ? record[key] : undefined, this.file, path);
  }

  items(): Field[] {
    if (!Array.isArray(this.value)) return this.wrong('a list');
    return this.value.map((item: unknown, at) => new Field(item, this.file, `${this.path}[${at}]`));
  }

  texts(): string[] {
    return this.items().map((item) => item.text());
  }

  text(): string {
    return typeof this.value === 'string' ? this.value : this.wrong('a string');
  }

  number(): number {
    return typeof this.value === 'number' ? this.value : this.wrong('a number');
  }

  flag(): boolean {
    return typeof this.value === 'boolean' ? this.value : this.wrong('true or false');
  }
}

function show(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
