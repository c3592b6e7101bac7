/** What the command line prints, without a process: tables, progress, patterns, pages. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderBashCompletion } from '../../src/cli/bash-completion.ts';
import { commandNames } from '../../src/cli/command-table.ts';
import { renderFailure } from '../../src/cli/failure.ts';
import { matchesGlob } from '../../src/cli/glob.ts';
import { nodeNameAmong } from '../../src/host-name.ts';
import { renderCxmConfPage, renderCxmPage } from '../../src/cli/man.ts';
import { membershipWarning } from '../../src/cli/membership.ts';
import { Progress } from '../../src/cli/progress.ts';
import { styleOf } from '../../src/cli/style.ts';
import { renderTable } from '../../src/cli/table.ts';
import { cxmConfTable } from '../../src/config/cxm-conf.ts';
import { CxmError } from '../../src/errors.ts';

class Recorder {
  text = '';
  constructor(
    readonly isTTY = false,
    readonly columns = 80,
  ) {}
  write(text: string): void {
    this.text += text;
  }
}

const utf8 = { LANG: 'C.UTF-8' };
const plain = styleOf(new Recorder(), utf8);

describe('colour', () => {
  it('is only on a terminal, and never with NO_COLOR or a dumb terminal', () => {
    expect(styleOf(new Recorder(true), utf8).paint('red', 'x')).toBe('\x1b[31mx\x1b[39m');
    expect(styleOf(new Recorder(true), { ...utf8, NO_COLOR: '1' }).paint('red', 'x')).toBe('x');
    expect(styleOf(new Recorder(true), { ...utf8, TERM: 'dumb' }).paint('red', 'x')).toBe('x');
    expect(plain.paint('red', 'x')).toBe('x');
  });
});

describe('a table', () => {
  it('has its columns below each other, whatever is in the cells', () => {
    const cell = fc.oneof(fc.string({ maxLength: 20 }), fc.integer());
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell)), (rows) => {
        const text = renderTable([{ title: 'NAME' }, { title: 'SIZE', align: 'right' }], rows, plain);
        const lines = text.split('\n').slice(0, -1);
        expect(lines).toHaveLength(rows.length + 1);
        expect(text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f]/);
      }),
    );
    const rows = [
      ['a', 5],
      ['long', { text: '12', colour: 'red' as const }],
    ];
    expect(renderTable([{ title: 'VM' }, { title: 'N', align: 'right' }], rows, plain)).toBe(
      'VM     N\na      5\nlong  12\n',
    );
  });

  it('measures what is seen, not the colours', () => {
    const terminal = styleOf(new Recorder(true), utf8);
    const rows = [
      [{ text: 'a', colour: 'red' as const }, 'x'],
      ['bb', 'y'],
    ];
    const text = renderTable([{ title: 'A' }, { title: 'B' }], rows, terminal);
    expect(text.replace(/\x1b\[\d+m/g, '')).toBe('A   B\na   x\nbb  y\n');
  });
});

describe('progress', () => {
  it('is a plain line a step without a terminal, and nothing with --quiet', () => {
    const [loud, quiet] = [new Recorder(), new Recorder()];
    for (const [stream, silent] of [
      [loud, false],
      [quiet, true],
    ] as const) {
      const progress = new Progress(stream, plain, silent);
      progress.step('node1: activate VG0/x');
      progress.note('WARN', 'careful\u001b[2J');
      progress.finish('done');
    }
    expect(loud.text).toBe('node1: activate VG0/x\nwarning: careful\\u{1b}[2J\n');
    expect(quiet.text).toBe('');
  });

  it('is one live line on a terminal, and a sign when the step has ended', () => {
    const stream = new Recorder(true);
    const progress = new Progress(stream, styleOf(stream, { ...utf8, NO_COLOR: '1' }), false);
    progress.step('one');
    progress.step('two');
    progress.note('WARN', 'two went badly');
    progress.step('three');
    progress.finish('failed');
    const seen = stream.text
      .split('\n')
      .map((line) => line.slice(line.lastIndexOf('\r\x1b[K') + 4).replace(/^\r?\x1b\[K/, ''))
      .filter((line) => line !== '');
    expect(seen).toEqual(['✓ one', 'warning: two went badly', '! two', '✗ three']);
  });

  it('never writes a live line that would wrap', () => {
    const stream = new Recorder(true, 40);
    const progress = new Progress(stream, styleOf(stream, { ...utf8, NO_COLOR: '1' }), false);
    progress.step('x'.repeat(200));
    expect(stream.text.length).toBeLessThan(40);
    progress.finish('done');
  });

  it('tells after a second what is waited for, and not before', async () => {
    const stream = new Recorder();
    const progress = new Progress(stream, plain, false);
    const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    await progress.during(() => 'waiting for node1', sleep(50));
    expect(stream.text).toBe('');
    await progress.during(() => 'waiting for node2', sleep(1300));
    expect(stream.text).toBe('waiting for node2\n');
  });
});

describe('an error', () => {
  it('says what is wrong, what to do, and what became of the system', () => {
    const error = new CxmError('XEN', 'it broke', { hint: 'mend it', changed: 'rolled-back' });
    expect(renderFailure(error, plain, false)).toBe(
      'cxm: it broke\n  hint: mend it\n  state: what was done before has been taken back (XEN)\n',
    );
    expect(renderFailure(error, plain, true)).toContain('output.test.ts');
  });

  it('has several reasons of a refusal below each other', () => {
    const error = new CxmError('REFUSED', 'no way: one; two');
    expect(renderFailure(error, plain, false)).toBe(
      'cxm: no way:\n  - one\n  - two\n  state: nothing was changed (REFUSED)\n',
    );
  });
});

describe('a pattern', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });

  it('means the same as a regular expression made of it', () => {
    const pattern = fc.string({
      unit: fc.constantFrom('a', 'b', '.', '*', '?', '[ab]', '[!a]', '[a-b]'),
      maxLength: 6,
    });
    const expression = (glob: string): RegExp =>
      new RegExp(`^${glob.replace(/\[!/g, '[^').replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`);
    fc.assert(
      fc.property(letters, pattern, (name, glob) => {
        expect(matchesGlob(name, glob)).toBe(expression(glob).test(name));
      }),
      { numRuns: 2000 },
    );
  });

  it('is decided quickly, whatever it is', () => {
    const start = performance.now();
    expect(matchesGlob('a'.repeat(250), `${'*a'.repeat(120)}b`)).toBe(false);
    fc.assert(fc.property(fc.string(), fc.string(), (name, glob) => void matchesGlob(name, glob)));
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('the local node', () => {
  it.each([
    ['node1', ['node1', 'node2'], 'node1'],
    ['node1.example.org', ['node1', 'node2'], 'node1'],
    ['node1', ['node1.example.org'], 'node1.example.org'],
    ['node1.here.org', ['node1.there.org'], 'node1.here.org'],
    ['node1', ['node1.here.org', 'node1.there.org'], 'node1'],
    ['other', ['node1'], 'other'],
  ])('of a machine called %s among %j is %s', (host, nodes, expected) => {
    expect(nodeNameAmong(host, nodes)).toBe(expected);
  });
});

describe('the warning before a command', () => {
  it('is there in panic, in recovery and for strangers, and nowhere else', () => {
    const source = 'cxm.conf';
    expect(membershipWarning({ isMember: true, state: 'normal', source }, 'node1')).toBeUndefined();
    expect(membershipWarning({ isMember: true, state: 'panic', source }, 'node1')?.[0]).toContain('PANIC');
    expect(membershipWarning({ isMember: true, state: 'recovery', source }, 'node1')?.[0]).toContain('RECOVERING');
    expect(membershipWarning({ isMember: false, state: 'normal', source }, 'x')?.[0]).toContain('(x) IS NO MEMBER');
  });
});

describe('pages', () => {
  const pages = { 'cxm(1)': renderCxmPage('1'), 'cxm.conf(5)': renderCxmConfPage('1') } as const;

  it('tell of every subcommand and every key', () => {
    const text = pages['cxm(1)'].replaceAll('\\-', '-');
    for (const name of commandNames) expect(text).toContain(`\\fB${name}\\fR`);
    for (const key of Object.keys(cxmConfTable.keys)) expect(pages['cxm.conf(5)']).toContain(`.BR ${key} `);
  });

  it('say of each subcommand what it does before how', () => {
    const text = pages['cxm(1)'].replaceAll('\\-', '-');
    expect(text).toMatch(/\\fBcreate\\fR \\fIFQDN\\fR .*\nStart a VM\.\n\.IP\nStarts the VM on/);
    expect(text).toContain('.BR cxmd_ctl (8)');
  });

  it.runIf(existsSync('/usr/bin/groff')).each(Object.entries(pages))('%s gives groff no reason to warn', (_, page) => {
    const { stderr, status } = spawnSync('groff', ['-man', '-Tutf8', '-ww'], { input: page, encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  });
});

describe('completion in bash', () => {
  const complete = (...words: readonly string[]): string[] => {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const script = `cxm() { case $2 in vms) printf '%s\\n' shop.example.org mail.example.org ;; nodes) printf '%s\\n' node1 node2 ;; esac; }
${renderBashCompletion()}
COMP_WORDS=(${quoted}) COMP_CWORD=${words.length - 1}; _cxm; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const text = execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
    return text.split('\n').filter((line) => line !== '');
  };

  it.each([
    [['cxm', 'mi'], ['migrate']],
    [['cxm', 'migrate', 's'], ['shop.example.org']],
    [
      ['cxm', 'migrate', 'shop.example.org', ''],
      ['node1', 'node2'],
    ],
    [['cxm', '-f', 'node1', 'create', 'm'], ['mail.example.org']],
    [['cxm', 'create', '-f', 'node2'], ['node2']],
    [['cxm', 'start', 'a', 'b', 's'], ['shop.example.org']],
    [['cxm', 'create', '--dry'], ['--dry-run']],
    [['cxm', 'list', '--dry'], []],
    [
      ['cxm', 'config', ''],
      ['check', 'show'],
    ],
    [['cxm', 'help', 'ej'], ['eject']],
    [['cxm', 'mig', 's'], ['shop.example.org']],
    [['cxm', 'destroy', 'shop.example.org', ''], []],
    [['cxm', 'create', '--force-node', '=', 'node2'], ['node2']],
    [
      ['cxm', 'create', '--force-node', '='],
      ['node1', 'node2'],
    ],
    [['cxm', '--force-node', '=', 'node2', 'create', 's'], ['shop.example.org']],
    [
      ['cxm', 'list', '--nodes', 'node1,'],
      ['node1,node1', 'node1,node2'],
    ],
    [['cxm', 'top', '--sort', 'm'], ['memory']],
    [['cxm', 'top', '--interval', ''], []],
    [['cxm', '--interval', '5', 'to'], ['top']],
    [['cxm', 'loadbalance', '--state', 'tsconfig.j'], ['tsconfig.json']],
    [['cxm', 'infos', ''], []],
  ])('of %j offers %j', (words, offered) => {
    expect(complete(...words)).toEqual(offered);
  });
});
