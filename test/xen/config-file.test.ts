import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { parseDomainConfig } from '../../src/xen/config-file.ts';
import type { ConfigValue } from '../../src/xen/config-file.ts';
import { ConfigSyntaxError, keyPattern } from '../../src/xen/config-syntax.ts';

const sample = `# the web server
name = 'web'      # its name
memory=512; maxmem = 0x400
vcpus = "2"
disk = [
  'phy:/dev/vg/root,xvda,w',  # the system
  'phy:/dev/vg/data,xvdb,w',  # the data
]
vif = [ 'mac=00:16:3e:00:00:01, bridge=xenbr0' ]
cpus = [ [0, 1], "2-3" ]
strange_key = 'stays'
extra = "root=/dev/xvda ro"
extra += ' quiet'
`;

function refusal(action: () => unknown): CxmError {
  try {
    action();
  } catch (error) {
    if (error instanceof CxmError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('reading', () => {
  const config = parseDomainConfig(sample, 'web.cfg');

  it('knows strings in either quote, numbers in any base, quoted numbers, lists and nested lists', () => {
    expect(config.getString('name')).toBe('web');
    expect(config.getNumber('memory')).toBe(512);
    expect(config.getNumber('maxmem')).toBe(1024);
    expect(config.getString('maxmem')).toBe('0x400');
    expect(config.getNumber('vcpus')).toBe(2);
    expect(config.get('vcpus')).toBe('2');
    expect(config.getList('disk')).toEqual(['phy:/dev/vg/root,xvda,w', 'phy:/dev/vg/data,xvdb,w']);
    expect(config.get('cpus')).toEqual([[0, 1], '2-3']);
    expect(config.get('nothing')).toBeUndefined();
  });

  it('adds with += and lets the last assignment win, as xl does', () => {
    expect(config.getString('extra')).toBe('root=/dev/xvda ro quiet');
    expect(parseDomainConfig('a=1\na=2\n', 'f').get('a')).toBe(2);
    expect(parseDomainConfig('a=["x"]\na+=["y"]\n', 'f').get('a')).toEqual(['x', 'y']);
    expect(parseDomainConfig('a=["x"]\na+=["y"]\na=["z"]', 'f').get('a')).toEqual(['z']);
  });

  it("knows xl's escapes and no others", () => {
    const text = String.raw`a='it\'s \"x\" \\ \n\t'`;
    expect(parseDomainConfig(text, 'f').get('a')).toBe('it\'s "x" \\ \n\t');
    expect(refusal(() => parseDomainConfig(String.raw`a='\x41'`, 'f')).message).toContain('no such escape');
  });

  it('reads octal as xl and leaves what is no number a string', () => {
    expect(parseDomainConfig('a=010', 'f').getNumber('a')).toBe(8);
    expect(parseDomainConfig('a=12ab', 'f').get('a')).toBe('12ab');
    expect(parseDomainConfig('a=99999999999999999999', 'f').get('a')).toBe('99999999999999999999');
    expect(refusal(() => parseDomainConfig('a="many"', 'f').getNumber('a')).message).toBe(
      'f, line 1: a is text, not a whole number',
    );
    expect(refusal(() => parseDomainConfig('a=["many"]', 'f').getString('a')).code).toBe('INVALID_INPUT');
    expect(refusal(() => parseDomainConfig('a="many"', 'f').getList('a')).code).toBe('INVALID_INPUT');
  });

  it.each([
    ['name = "bad', 1, '"bad'],
    ['a=1\nimport os', 2, 'os'],
    ['a=1\n\nb = os.system("x")', 3, 'os'],
    ['a = [1, 2', 1, 'the end of the file'],
    ['a = [1 2]', 1, '2'],
    ['a = [,]', 1, ','],
    ['a =\n1', 1, 'the end of the line'],
    ['a = 1 b = 2', 1, 'b'],
    ['Name = 1', 1, 'Name'],
    ['a = 1\r\nb = 2\r\n', 1, '\\r'],
    ['a = -1', 1, '-1'],
    ['a = "x" + "y"', 1, '+'],
    [`a = ${'['.repeat(40)}${']'.repeat(40)}`, 1, '['],
    ['a = "\0"', 1, 'a NUL character'],
  ])('refuses %j, naming line and what was found', (text, line, found) => {
    const error = refusal(() => parseDomainConfig(text, '/etc/xen/x.cfg'));
    expect(error).toBeInstanceOf(ConfigSyntaxError);
    expect(error).toMatchObject({ code: 'INVALID_INPUT', line, found });
    expect(error.message).toContain(`/etc/xen/x.cfg, line ${line}: found ${found}`);
  });
});

describe('editing', () => {
  it('leaves the text alone when nothing changes, and everything else alone when something does', () => {
    const config = parseDomainConfig(sample, 'web.cfg');
    expect(config.toString()).toBe(sample);
    config.set('memory', 1024);
    expect(config.toString()).toBe(sample.replace('memory=512', 'memory=1024'));
  });

  it('keeps the comments of the items that stay when a list changes', () => {
    const config = parseDomainConfig(sample, 'web.cfg');
    config.set('disk', ['phy:/dev/vg/root,xvda,w', 'phy:/dev/vg/other,xvdb,w', 'phy:/dev/vg/more,xvdc,w']);
    expect(config.toString()).toContain(
      "  'phy:/dev/vg/root,xvda,w',  # the system\n  'phy:/dev/vg/other,xvdb,w', 'phy:/dev/vg/more,xvdc,w',  # the data\n]",
    );
    config.set('disk', ['phy:/dev/vg/root,xvda,w']);
    expect(config.toString()).toContain("disk = [\n  'phy:/dev/vg/root,xvda,w',  # the data\n]");
    config.set('disk', []);
    expect(config.toString()).toContain('disk = []\n');
  });

  it('adds a new key at the end, also behind a line without an end', () => {
    const config = parseDomainConfig('a = 1 # one', 'f');
    config.set('b', ['x', 2]);
    expect(config.toString()).toBe("a = 1 # one\nb = ['x', 2]\n");
  });

  it('replaces what += built, and deletes every assignment of a key but no comment', () => {
    const config = parseDomainConfig(sample, 'web.cfg');
    config.set('extra', 'single');
    expect(config.getString('extra')).toBe('single');
    expect(config.delete('extra')).toBe(true);
    expect(config.delete('extra')).toBe(false);
    config.delete('name');
    config.delete('memory');
    expect(config.has('maxmem')).toBe(true);
    expect(config.toString()).toContain('# its name\n');
    expect(config.toString()).toContain('\nmaxmem = 0x400\n');
    expect(config.toString()).not.toContain('extra');
    expect(config.keys()).toEqual(['maxmem', 'vcpus', 'disk', 'vif', 'cpus', 'strange_key']);
  });

  it.each([
    ['a newline', 'x\ny = 1'],
    ['a NUL', 'x\0'],
    ['an escape character', '\x1b[2J'],
    ['half a surrogate pair', '\ud800'],
    ['a fraction', 1.5],
    ['a negative number', -1],
    ['not a number', Number.NaN],
    ['a bad item of a list', ['fine', ['x\ny']]],
  ])('refuses %s as a value, naming the key and changing nothing', (_what, value) => {
    const config = parseDomainConfig(sample, 'web.cfg');
    expect(refusal(() => config.set('kernel', value)).message).toContain('kernel');
    expect(config.toString()).toBe(sample);
  });

  it('refuses a key that xl would not read', () => {
    for (const key of ['', 'Name', 'a b', 'a=1\nb', '9a', '__proto__']) {
      expect(refusal(() => parseDomainConfig('', 'f').set(key, 1)).code).toBe('INVALID_INPUT');
    }
  });
});

const text = fc.string({ unit: 'binary', maxLength: 20 });
const nasty = fc.stringMatching(/^['"\\#;=\[\], \tn\n]{0,8}$/);
const value: fc.Arbitrary<ConfigValue> = fc.letrec<{ value: ConfigValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    text,
    nasty,
    fc.nat(),
    fc.array(tie('value'), { maxLength: 4 }) as fc.Arbitrary<ConfigValue>,
  ),
})).value;
const key = fc.stringMatching(/^[a-z][a-z0-9_]{0,5}$/);

function trySet(config: ReturnType<typeof parseDomainConfig>, name: string, wanted: ConfigValue): boolean {
  try {
    config.set(name, wanted);
    return true;
  } catch (error) {
    if (error instanceof CxmError && error.code === 'INVALID_INPUT') return false;
    throw error;
  }
}

describe('for any value', () => {
  it('what is set is read back, by a fresh parser too, and every other key keeps its value', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value), { maxLength: 6 }), key, value, (others, name, wanted) => {
        const config = parseDomainConfig(sample, 'f');
        for (const [other, theirs] of others) trySet(config, other, theirs);
        const before = new Map(config.keys().map((each) => [each, config.get(each)]));
        const had = trySet(config, name, wanted);
        const again = parseDomainConfig(config.toString(), 'f');
        if (had) expect(again.get(name)).toEqual(wanted);
        for (const [each, theirs] of before) if (each !== name) expect(again.get(each)).toEqual(theirs);
        const added = again.keys().filter((each) => !before.has(each));
        expect(added.filter((each) => each !== name)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('a value without control characters is always accepted', () => {
    const printable = fc
      .string({ unit: 'grapheme', maxLength: 30 })
      .filter((each) => !/\p{Cc}|\p{Surrogate}/u.test(each));
    fc.assert(
      fc.property(printable, (wanted) => {
        const config = parseDomainConfig('', 'f');
        config.set('a', wanted);
        expect(parseDomainConfig(config.toString(), 'f').keys()).toEqual(['a']);
        expect(config.toString().split('\n')).toHaveLength(2);
      }),
    );
  });

  it('replacing one list by another gives the other, whatever comments stand in it', () => {
    const item = fc.constantFrom('a', 'b', 'c', 'd');
    fc.assert(
      fc.property(fc.array(item), fc.array(item), fc.boolean(), (from, to, comma) => {
        const items = from.map(
          (each, index) => `  '${each}'${comma || index < from.length - 1 ? ',' : ''} # ${each}]\n`,
        );
        const config = parseDomainConfig(`x = 1\nl = [\n${items.join('')}]\ny = 2\n`, 'f');
        config.set('l', to);
        expect(config.getList('l')).toEqual(to);
        expect(config.get('y')).toBe(2);
      }),
    );
  });

  it('deleting keys removes them and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, value, fc.constantFrom('\n', ';', ' # c\n', ';;\n')), { maxLength: 6 }),
        (lines) => {
          const single = new Map<string, string>();
          for (const [name, wanted, end] of lines) {
            const config = parseDomainConfig('', 'f');
            if (trySet(config, name, wanted)) single.set(name, config.toString().trimEnd() + end);
          }
          const config = parseDomainConfig([...single.values()].join(''), 'f');
          const [first, ...rest] = single.keys();
          if (first === undefined) return;
          expect(config.delete(first)).toBe(true);
          expect(config.keys()).toEqual(rest);
          for (const name of rest) expect(keyPattern.test(name)).toBe(true);
        },
      ),
    );
  });

  it('any text either parses and stays as it is, or is refused with its line', () => {
    const piece = fc.constantFrom(
      'a',
      'b1',
      '=',
      '+=',
      "'",
      '"',
      '[',
      ']',
      ',',
      ';',
      '\n',
      '#',
      ' ',
      '\\',
      '0x1',
      'é',
      '(',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const whole = pieces.join('');
        try {
          expect(parseDomainConfig(whole, 'f').toString()).toBe(whole);
        } catch (error) {
          if (!(error instanceof CxmError)) throw error;
          expect(error.code).toBe('INVALID_INPUT');
          expect(error.message).toMatch(/^f, line \d+: /);
        }
      }),
      { numRuns: 500 },
    );
  });
});
