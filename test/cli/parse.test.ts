/** Words to calls, without a process. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandNames, specOf, type CommandName } from '../../src/cli/command-table.ts';
import { commands } from '../../src/cli/commands.ts';
import { exitCodeOf } from '../../src/cli/exit-codes.ts';
import { findCommand, parseCall } from '../../src/cli/parse.ts';
import { CxmError, errorCodes, type ErrorCode } from '../../src/errors.ts';

describe('a call', () => {
  it('means the same wherever its options stand', () => {
    const options = fc.constantFrom(
      ['-f', 'node2'],
      ['--dry-run'],
      ['--json'],
      ['-q'],
      ['-d'],
      ['--nodes', 'node1,node2'],
    );
    const words = fc.tuple(fc.uniqueArray(options, { selector: ([name]) => name }), fc.nat(), fc.nat());
    fc.assert(
      fc.property(words, ([given, one, other]) => {
        const call: string[][] = [['create'], ['shop.example.org']];
        const expected = parseCall([...call.flat(), ...given.flat()]);
        given.forEach((option, index) => call.splice((one + index * other) % (call.length + 1), 0, [...option]));
        expect(parseCall(call.flat())).toEqual(expected);
      }),
    );
  });

  it('takes every prefix that only one subcommand has, and no other', () => {
    fc.assert(
      fc.property(fc.constantFrom(...commandNames), fc.nat(12), (name, length) => {
        const prefix = name.slice(0, length + 1);
        const candidates = commandNames.filter((one) => one.startsWith(prefix));
        if (candidates.length === 1 || commandNames.includes(prefix as CommandName)) {
          expect(findCommand(prefix)).toBe(candidates.length === 1 ? name : prefix);
        } else {
          expect(() => findCommand(prefix)).toThrow(candidates[0]);
        }
      }),
    );
  });

  it('is understood or refused as wrong usage, whatever its words are', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(...commandNames, '-f', '--json', '--', '-qn', '--nodes=a', '-h'),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (words) => {
        try {
          parseCall(words);
        } catch (error) {
          expect(error).toBeInstanceOf(CxmError);
          expect((error as CxmError).code).toBe('USAGE');
        }
      }),
    );
  });

  it.each([
    [['lsit'], "there is no subcommand 'lsit'", 'did you mean `cxm list`? `cxm --help` has all of them'],
    [['LIST'], "there is no subcommand 'LIST'", 'did you mean `cxm list`? `cxm --help` has all of them'],
    [['evacuate'], "there is no subcommand 'evacuate'", 'did you mean `cxm eject`? `cxm --help` has all of them'],
    [['fly'], "there is no subcommand 'fly'", '`cxm --help` has all of them'],
    [
      ['mig', 'a', 'b', '--dry-urn'],
      "unknown option '--dry-urn'",
      'did you mean --dry-run? see `cxm migrate --help` for all',
    ],
    [['--flying'], "unknown option '--flying'", 'see `cxm --help`'],
    [['list', '--json=1'], '--json takes no value', 'see `cxm list --help`'],
    [['list', '--nodes'], '--nodes needs NODE,...', 'see `cxm list --help`'],
    [['config', 'foo'], "config takes check or show, not 'foo'", 'usage: cxm config check|show'],
    [['top', '--sort', 'x'], "--sort takes cpu, memory, disk, network or name, not 'x'", 'see `cxm --help`'],
    [['help', 'list', 'x'], "help does not know what to do with 'x'", 'usage: cxm help [SUBCOMMAND]'],
    [
      ['create', 'a b'],
      expect.stringContaining("'a b' is no name of a VM"),
      "`cxm search '*'` has the names of all VMs",
    ],
  ])('%j is refused with what is wrong and what is meant', (words, message, hint) => {
    expect(() => parseCall(words)).toThrow(expect.objectContaining({ code: 'USAGE', message, hint }) as Error);
  });

  it('takes words after -- as they are', () => {
    expect(parseCall(['search', '--', '--json'])).toMatchObject({ operands: ['--json'], options: { json: false } });
  });
});

describe('the tables', () => {
  it('have code for every subcommand but help', () => {
    expect(Object.keys(commands).sort()).toEqual(commandNames.filter((name) => name !== 'help').sort());
  });

  it('have an example of every subcommand that is a call of it', () => {
    for (const name of commandNames) {
      expect(specOf(name).examples.length).toBeGreaterThan(0);
      for (const { line } of specOf(name).examples) expect(line).toContain(`cxm ${name}`);
    }
  });

  it('map every error code to an exit code from 1 to 3, wrong usage alone to 3', () => {
    for (const code of Object.keys(errorCodes) as ErrorCode[]) {
      expect([1, 2]).toContain(code === 'USAGE' ? 1 : exitCodeOf(code));
    }
    expect(exitCodeOf('USAGE')).toBe(3);
  });
});
