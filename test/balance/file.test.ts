import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { parseClusterFile, renderClusterFile } from '../../src/balance/file.ts';
import { arbitraryRuled } from './arbitrary.ts';

const ruled = arbitraryRuled({ maxNodes: 5, maxVms: 10, odd: true });

describe('cluster files', () => {
  test('what is written as JSON reads back the same', () => {
    fc.assert(
      fc.property(ruled, (file) => {
        expect(parseClusterFile(renderClusterFile(file, 'json'), 'state.json')).toEqual(file);
      }),
      { numRuns: 200 },
    );
  });

  test('what is written as lines reads back the same, but for rules that say nothing', () => {
    fc.assert(
      fc.property(ruled, ({ state, rules }) => {
        const groups = (all: readonly (readonly string[])[] = []): readonly (readonly string[])[] =>
          all.filter((group) => group.length > 0);
        const said = { ...rules, apart: groups(rules.apart), together: groups(rules.together) };
        const kept = Object.fromEntries(Object.entries(said).filter(([, value]) => value.length > 0));
        expect(parseClusterFile(renderClusterFile({ state, rules }, 'text'), 'state')).toEqual({ state, rules: kept });
      }),
      { numRuns: 200 },
    );
  });

  test.each(readdirSync('test/fixtures/balance'))('%s reads and is written as itself', (name) => {
    const file = parseClusterFile(readFileSync(`test/fixtures/balance/${name}`, 'utf8'), name);
    expect(parseClusterFile(renderClusterFile(file, 'text'), name)).toEqual(file);
    expect(parseClusterFile(renderClusterFile(file, 'json'), name)).toEqual(file);
  });

  test.each([
    ['node', 'f, line 1: a name is missing after node'],
    ['host a memory=1', 'f, line 1: "host" is unknown; a line begins with one of node, vm, pin'],
    ['node a cpus=2', 'f, line 1: memory= is missing'],
    ['node a memory=1g', 'f, line 1: memory="1g" is no whole number from 0 to'],
    ['node a memory=1.5', 'memory="1.5" is no whole number'],
    ['node a memory=1 memory=2', 'f, line 1: memory is given twice'],
    ['node a memory=1 color=red', 'f, line 1: "color=red" is not understood; a node has memory=, cpus='],
    ['node a memory=1 ready=true', 'ready="true" is neither yes nor no'],
    ['\n# c\nnode a memory=1\nnode a memory=1', 'f, line 4: node a is there already: f, line 3'],
    ['node a memory=1\nvm v on=b memory=1', 'f, line 2: VM v is on node "b", and there is no line for that'],
    ['node a memory=1\nvm v on=a memory=1\nvm v on=a memory=2', 'f, line 3: vm v is there already: f, line 2'],
    ['node a memory=1\nvm v memory=1 cpu=-3', 'f, line 2: cpu="-3" is no number from 0 to'],
    ['node $(id) memory=1', 'f, line 1: "$(id)" is no name'],
    ['node a memory=1\nempty b', 'f: rule empty: there is no node "b"'],
    [
      'node a memory=1\nvm v memory=1\nvm w memory=1\napart v w\ntogether w v',
      'f: VMs w and v are to be together and apart',
    ],
    ['{"version": 1', 'f is no JSON: '],
    ['{"version": 2, "nodes": [], "vms": []}', 'f: version is 2, but must be 1'],
    ['{"version": 1, "nodes": [], "vms": [], "x": 1}', 'f: there is no field "x"; known are version'],
    ['{"version": 1, "nodes": {}, "vms": []}', 'f: nodes is {}, but must be a list'],
    ['{"version": 1, "nodes": [{"name": "a"}], "vms": []}', 'f: nodes[0].memoryMib is missing, but must be a number'],
    [
      '{"version": 1, "nodes": [], "vms": [{"name": "v", "memoryMib": 1, "node": 3}]}',
      'f: vms[0].node is 3, but must be',
    ],
    ['{"version": 1, "nodes": [], "vms": [{"name": "v", "memoryMib": -1}]}', 'f: memory of VM v is -1'],
    ['{"version": 1, "nodes": [], "vms": [], "rules": {"pinned": [{"vm": "v"}]}}', 'rules.pinned[0].nodes is missing'],
  ])('%j is refused by name', (text, message) => {
    let error: unknown;
    try {
      parseClusterFile(text, 'f');
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(CxmError);
    expect(error).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining(message) as string });
  });

  test('no text makes anything but a file or an error of ours', () => {
    const words = fc.constantFrom(
      'node',
      'vm',
      'pin',
      'apart',
      'a',
      'b',
      'v',
      'memory=1',
      'on=a',
      'cpu=1',
      '#',
      '=',
      '{',
      '\n',
      '\n',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words).map((all) => all.join(' ')),
          fc.json(),
        ),
        (text) => {
          try {
            parseClusterFile(text, 'f');
          } catch (error) {
            expect(error).toBeInstanceOf(CxmError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test('comments, blank lines, either line end and any order are fine', () => {
    const text = '# hello\r\n\r\nvm v on=a memory=1 # trailing\r\n   node a memory=2 cpus=4\r\n';
    expect(parseClusterFile(text, 'f').state.vms).toEqual([{ name: 'v', node: 'a', memoryMib: 1, cpuPercent: 0 }]);
  });
});
