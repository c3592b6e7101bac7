/** Words to calls of cxmd_ctl, and its help, without a process. */
import { describe, expect, it } from 'vitest';
import { ctlBodies } from '../../src/cli/ctl/actions.ts';
import type { CtlContext } from '../../src/cli/ctl/context.ts';
import { renderCtlHelp } from '../../src/cli/ctl/help.ts';
import { parseCtlCall } from '../../src/cli/ctl/parse.ts';
import { ctlActionNames, ctlExamples, ctlModifiers, usageOfAction } from '../../src/cli/ctl/table.ts';
import { styleOf } from '../../src/cli/style.ts';
import { CxmError } from '../../src/errors.ts';

const help = 'see `cxmd_ctl --help`';

describe('a call of cxmd_ctl', () => {
  it.each([
    [['status'], 'exactly one action is needed, found none', `did you mean --status? ${help} for all`],
    [['--status', '--ping'], 'exactly one action is needed, found --ping and --status', help],
    [['--stat'], "unknown option '--stat'", `did you mean --status? ${help} for all`],
    [['--stauts'], "unknown option '--stauts'", `did you mean --status? ${help} for all`],
    [['--flying'], "unknown option '--flying'", help],
    [['-x'], "unknown option '-x'", help],
    [['--kill'], '--kill needs NODE', 'usage: cxmd_ctl --kill NODE'],
    [['--maintenance'], '--maintenance needs on|off', 'usage: cxmd_ctl --maintenance on|off'],
    [['--quit', 'now'], "--quit does not know what to do with 'now'", 'usage: cxmd_ctl --quit'],
    [['--why', 'a', 'b\n'], "--why does not know what to do with 'b\\n'", 'usage: cxmd_ctl --why [NODE|VM]'],
    [['--status', '--off'], '--status takes no --off', help],
    [['--kill', 'node2', '--force'], '--kill takes no --force', help],
  ])('%j is refused with what is wrong and what is meant', (words, message, hint) => {
    const refused = (): unknown => parseCtlCall(words);
    expect(refused).toThrow(CxmError);
    expect(refused).toThrow(expect.objectContaining({ code: 'USAGE', message, hint }) as Error);
  });

  it('is understood as its examples are', () => {
    for (const { line } of ctlExamples) {
      const { action, value } = parseCtlCall(line.split(' ').slice(1));
      expect(line).toContain(`--${action}${value === '' ? '' : ` ${value}`}`);
    }
  });
});

describe('--kill', () => {
  /** What is ordered of cxmd, on a cluster of two nodes. */
  async function ordered(value: string): Promise<unknown> {
    const nodes = ['node1', 'node2'].map((name, index) => ({ name, index, vms: [] }));
    let order: unknown;
    const context = {
      value,
      has: (modifier: string) => modifier === 'off',
      confirm: () => Promise.resolve(),
      answer: () => undefined,
      ask: (method: string, params: { call?: unknown }) => {
        if (method === 'nodes') return Promise.resolve(nodes);
        order = params.call;
        return Promise.resolve({ ok: true, text: 'taken out' });
      },
    } as unknown as CtlContext;
    await ctlBodies.kill(context);
    return order;
  }

  it('takes a node by its name, and a slot of no node by its number', async () => {
    expect(await ordered('node2')).toEqual({ kind: 'kill', node: 1, confirmedOff: true });
    expect(await ordered('slot 7')).toEqual({ kind: 'kill', node: 7, confirmedOff: true });
  });

  it.each(['node3', 'slot 1', 'slot 64', 'slot', 'slot 7 ', ''])('does not take %j', async (value) => {
    await expect(ordered(value)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('the help of cxmd_ctl', () => {
  it('has every action, option and exit code, none wider than the terminal', () => {
    const text = renderCtlHelp(styleOf({ isTTY: true, columns: 80, write: () => true }, { NO_COLOR: '1' }));
    for (const name of ctlActionNames) expect(text).toContain(`  ${usageOfAction(name)} `);
    for (const name of Object.keys(ctlModifiers)) expect(text).toContain(`--${name} `);
    expect(text).toMatch(/^Exit codes\n {2}0 {2}done\n {2}1 {2}/m);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});
