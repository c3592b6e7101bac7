/** The lines of a cluster file: one word for what it is, a name, `key=value` pairs. See docs/balancer.md. */
import type { ClusterFile } from './file.ts';
import {
  invalid,
  isName,
  maxCpuPercent,
  maxMemoryMib,
  nameRule,
  quote,
  type BalanceNode,
  type BalanceRules,
  type BalanceVm,
  type Pin,
} from './state.ts';

const statements = ['node', 'vm', 'pin', 'ignore', 'together', 'apart', 'empty'] as const;
type Statement = (typeof statements)[number];

interface Line {
  /** `FILE, line N` */
  readonly origin: string;
  readonly statement: Statement;
  readonly name: string;
  /** The words after the name. */
  readonly rest: readonly string[];
}

/** @throws CxmError INVALID_INPUT naming the line */
export function parseTextFile(text: string, fileName: string): ClusterFile {
  const lines = text.split(/\r\n|\n/).flatMap((line, at) => readLine(line, `${fileName}, line ${at + 1}`) ?? []);
  const nodes = once(lines, 'node').map(readNode);
  const names = new Set(nodes.map(({ name }) => name));
  const vms = once(lines, 'vm').map((line) => {
    const vm = readVm(line);
    if (vm.node === undefined || names.has(vm.node)) return vm;
    throw invalid(`${line.origin}: VM ${vm.name} is on node ${quote(vm.node)}, and there is no line for that`);
  });
  return { state: { nodes, vms }, rules: readRules(lines) };
}

function readLine(text: string, origin: string): Line | undefined {
  const words = text
    .replace(/(^|\s)#.*$/, '')
    .trim()
    .split(/\s+/);
  const [word = '', name, ...rest] = words;
  if (word === '') return undefined;
  const statement = statements.find((known) => known === word);
  if (statement === undefined) {
    throw invalid(`${origin}: ${quote(word)} is unknown; a line begins with one of ${statements.join(', ')}`);
  }
  if (name === undefined) throw invalid(`${origin}: a name is missing after ${statement}`);
  const named = statement === 'node' || statement === 'vm' ? [name] : [name, ...rest];
  const bad = named.find((one) => !isName(one));
  if (bad !== undefined) throw invalid(`${origin}: ${quote(bad)} is no name: ${nameRule}`);
  return { origin, statement, name, rest };
}

function once(lines: readonly Line[], statement: Statement): readonly Line[] {
  const seen = new Map<string, string>();
  const found = lines.filter((line) => line.statement === statement);
  for (const { name, origin } of found) {
    const first = seen.get(name);
    if (first !== undefined) throw invalid(`${origin}: ${statement} ${name} is there already: ${first}`);
    seen.set(name, origin);
  }
  return found;
}

function readNode(line: Line): BalanceNode {
  const fields = readFields(line, ['memory', 'cpus', 'ready', 'accepting']);
  return {
    name: line.name,
    memoryMib: readNumber(line, 'memory', fields.get('memory'), maxMemoryMib, true),
    cpus: readNumber(line, 'cpus', fields.get('cpus') ?? '0', 65_536, true),
    ready: readFlag(line, 'ready', fields.get('ready')),
    accepting: readFlag(line, 'accepting', fields.get('accepting')),
  };
}

function readVm(line: Line): BalanceVm {
  const fields = readFields(line, ['on', 'memory', 'cpu']);
  const node = fields.get('on');
  if (node !== undefined && !isName(node)) throw invalid(`${line.origin}: on=${quote(node)} is no name: ${nameRule}`);
  return {
    name: line.name,
    node,
    memoryMib: readNumber(line, 'memory', fields.get('memory'), maxMemoryMib, true),
    cpuPercent: readNumber(line, 'cpu', fields.get('cpu') ?? '0', maxCpuPercent, false),
  };
}

function readFields({ origin, statement, rest }: Line, known: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const word of rest) {
    const [, key = '', value = ''] = /^([a-z]+)=(.+)$/.exec(word) ?? [];
    if (!known.includes(key)) {
      const list = known.map((one) => `${one}=`).join(', ');
      throw invalid(`${origin}: ${quote(word)} is not understood; a ${statement} has ${list}`);
    }
    if (fields.has(key)) throw invalid(`${origin}: ${key} is given twice`);
    fields.set(key, value);
  }
  return fields;
}

function readNumber({ origin }: Line, key: string, text: string | undefined, max: number, whole: boolean): number {
  if (text === undefined) throw invalid(`${origin}: ${key}= is missing`);
  const value = /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (value >= 0 && value <= max && (!whole || Number.isInteger(value))) return value;
  throw invalid(`${origin}: ${key}=${quote(text)} is no ${whole ? 'whole number' : 'number'} from 0 to ${max}`);
}

function readFlag({ origin }: Line, key: string, text = 'yes'): boolean {
  if (text === 'yes' || text === 'no') return text === 'yes';
  throw invalid(`${origin}: ${key}=${quote(text)} is neither yes nor no`);
}

function readRules(lines: readonly Line[]): BalanceRules {
  const groups = (statement: Statement): readonly (readonly string[])[] =>
    lines.filter((line) => line.statement === statement).map(({ name, rest }) => [name, ...rest]);
  const pinned: readonly Pin[] = groups('pin').map(([vm = '', ...nodes]) => ({ vm, nodes }));
  const all = {
    pinned,
    ignored: groups('ignore').flat(),
    together: groups('together'),
    apart: groups('apart'),
    empty: groups('empty').flat(),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value.length > 0));
}

/** The lines for a state and rules. Read back they are the same, except that empty rules and groups are left out. */
export function renderTextFile({ state, rules }: ClusterFile): string {
  const { pinned = [], ignored = [], together = [], apart = [], empty = [] } = rules;
  const words = (...parts: readonly (string | undefined)[]): string =>
    parts.filter((part) => part !== undefined).join(' ');
  const group = (statement: Statement, names: readonly string[]): readonly string[] =>
    names.length === 0 ? [] : [words(statement, ...names)];
  const lines = [
    '# cluster state of cxm: memory in MiB, cpu in percent of one CPU',
    ...state.nodes.map(({ name, memoryMib, cpus, ready, accepting }) =>
      words(
        `node ${name} memory=${memoryMib} cpus=${cpus}`,
        ready ? undefined : 'ready=no',
        accepting ? undefined : 'accepting=no',
      ),
    ),
    ...state.vms.map(({ name, node, memoryMib, cpuPercent }) =>
      words(`vm ${name}`, node === undefined ? undefined : `on=${node}`, `memory=${memoryMib} cpu=${cpuPercent}`),
    ),
    ...pinned.flatMap(({ vm, nodes }) => group('pin', [vm, ...nodes])),
    ...group('ignore', ignored),
    ...together.flatMap((names) => group('together', names)),
    ...apart.flatMap((names) => group('apart', names)),
    ...group('empty', empty),
  ];
  return `${lines.join('\n')}\n`;
}
