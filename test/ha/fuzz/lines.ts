/**
 * Lines for the ports of calls that must change nothing, from a seed: no JSON, no JSON-RPC, JSON of every bad shape and
 * size, and calls of every method that are wrong in one place. None of them may be a call that is in order.
 */
import type { Random } from '../../simulation/random.ts';
import { bytesOf } from './datagrams.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** In order, but for what is broken afterwards. */
const asks: readonly Readonly<Record<string, Json>>[] = [
  { kind: 'join', name: 'node3', incarnation: 7, nodes: ['node1', 'node2', 'node3'], diskId: '00' },
  { kind: 'ping', vms: ['web.example.org'] },
  { kind: 'start', vm: 'web.example.org', token: { epoch: 9, owner: 1 } },
  { kind: 'receive', vm: 'web.example.org', source: 2, token: { epoch: 9, owner: 1 } },
];
const calls: readonly Readonly<Record<string, Json>>[] = [
  { kind: 'kill', node: 1, confirmedOff: true },
  { kind: 'force-panic', reason: 'fuzz' },
  { kind: 'lock', name: 'lock', holder: 'fuzz' },
  { kind: 'maintenance', on: true },
  { kind: 'disarm', on: true },
];
const wrongValues: readonly Json[] = [
  null,
  1.5,
  -2,
  2 ** 53,
  [],
  {},
  'x'.repeat(301),
  '9'.repeat(12_000),
  [[]],
  { kind: 'join' },
  Array.from({ length: 2001 }, () => ''),
];
const strangeNames = ['__proto__', 'constructor', 'toString', 'fence', '', 'Join', 'leave ', '\u0000', '\ud800'];

/** One field is missing, has a value of another type or size, or is too many. */
function broken(random: Random, whole: Readonly<Record<string, Json>>): Json {
  const names = Object.keys(whole).filter((name) => name !== 'kind');
  const name = random.pick(names);
  switch (random.integer(0, 3)) {
    case 0:
      return Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name));
    case 1:
      return { ...whole, [name]: wrongFor(random, whole[name]) };
    case 2:
      return { ...whole, [random.pick(['more', 'constructor', 'from', 'k'.repeat(5000)])]: 1 };
    default:
      return { ...whole, kind: random.pick(strangeNames) };
  }
}

/** Some of the values are in order for a list or a text: never the one for its own kind. */
function wrongFor(random: Random, value: Json | undefined): Json {
  const wrong = random.pick(wrongValues);
  const isList = Array.isArray(value) && Array.isArray(wrong) && wrong.length <= 2000;
  return isList ? null : wrong;
}

function request(method: Json, params: Json, id: Json = 1): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params });
}

function askOf(random: Random): Json {
  const whole = random.pick(asks);
  if (random.chance(0.3)) return { from: random.pick([64, -1, 0.5, '1', null]), request: whole };
  return { from: 1, request: broken(random, whole) };
}

const kinds: readonly ((random: Random) => Buffer | string)[] = [
  (random) => bytesOf(random, random.integer(1, 3000)),
  (random) => random.pick(['[', '{"a":', '[{"a":']).repeat(random.integer(1, 80_000)),
  (random) => `${'['.repeat(50_000)}${']'.repeat(random.integer(49_000, 50_000))}`,
  (random) => {
    const deep = '['.repeat(5000) + ']'.repeat(5000);
    return `{"jsonrpc":"2.0","id":1,"method":"${random.pick(['ask', 'call', 'why'])}","params":{"from":1,"request":${deep}}}`;
  },
  (random) => {
    const members = Array.from({ length: random.integer(500, 20_000) }, (_, at) => `"m${at}":${at}`);
    return `{"jsonrpc":"2.0","id":1,"method":"${random.pick(['ask', 'call', 'why'])}","params":{${members.join(',')}}}`;
  },
  (random) => 'x'.repeat(random.pick([16_384, 16_385, 524_288, 524_289, 2_000_000])),
  (random) =>
    random.pick(['null', '5', '""', '[]', '{}', '{"jsonrpc":"2.0"}', '[{"jsonrpc":"2.0"}]', '\ufeff{}', '1e999']),
  (random) => request(random.pick([...strangeNames, 7, null, ['ask']]), {}, random.pick([1, 'x', null, {}, [1]])),
  (random) => request('ask', askOf(random)),
  (random) => request('ask', random.pick([null, [], 'x', 1])),
  (random) => request('call', { call: broken(random, random.pick(calls)) }),
  (random) =>
    request('call', random.pick([{}, { call: null }, { call: { kind: 'join', on: true } }, { call: 'join' }])),
  (random) => request('why', random.pick([{ subject: 'x'.repeat(256) }, { subject: 1 }, { more: 1 }])),
  (random) => request('ping', { more: random.integer(0, 9) }),
];

/** Without its end. */
export function hostileLine(random: Random): Buffer {
  const line = random.pick(kinds)(random);
  const bytes = Buffer.from(typeof line === 'string' ? line : line.map((byte) => (byte === 10 ? 32 : byte)));
  return bytes;
}
