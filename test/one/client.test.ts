import { describe, expect, it } from 'vitest';
import type { CommandOptions, CommandResult, Commands } from '../../src/host/commands.ts';
import { createFrontend, type FrontendAccess } from '../../src/one/client.ts';
import { recordedFile } from '../support/recordings.ts';

const ssh: FrontendAccess = { kind: 'ssh', host: 'front', user: 'oneadmin' };

interface Call {
  readonly program: string;
  readonly args: readonly string[];
  readonly options: CommandOptions;
}

/** Commands that answer all calls alike and remember them. */
function answering(answer: Partial<CommandResult>): { commands: Commands; calls: Call[] } {
  const calls: Call[] = [];
  const commands: Commands = {
    run: (program, args, options = {}) => {
      calls.push({ program, args, options });
      return Promise.resolve({ stdout: '', stderr: '', exitCode: 0, ...answer });
    },
  };
  return { commands, calls };
}

describe('on the frontend', () => {
  it('documents are asked with the command line of OpenNebula, bounded in time', async () => {
    const { commands, calls } = answering({ stdout: recordedFile('3.8', 'onevm-show-x.xml') });
    const vm = await createFrontend(commands, { kind: 'local', timeoutMs: 5000 }).virtualMachine(8);
    expect(vm).toMatchObject({ id: 8, user: 'oneadmin' });
    expect(calls).toEqual([
      { program: 'onevm', args: ['show', '-x', '8'], options: { timeoutMs: 5000, okExitCodes: 'any' } },
    ]);
  });

  it('images and hosts come from their own commands', async () => {
    const host = recordedFile('7.x', 'onehost-show-x.xml');
    const image = answering({ stdout: '<IMAGE><ID>3</ID></IMAGE>' });
    expect(await createFrontend(image.commands, { kind: 'local' }).image(3)).toMatchObject({ id: 3 });
    expect(image.calls[0]).toMatchObject({ program: 'oneimage', args: ['show', '-x', '3'] });
    const one = answering({ stdout: host });
    expect(await createFrontend(one.commands, { kind: 'local' }).host('host01')).toMatchObject({ name: 'host01' });
    const all = answering({ stdout: `<HOST_POOL>${host}</HOST_POOL>` });
    expect(await createFrontend(all.commands, { kind: 'local' }).hosts()).toHaveLength(1);
    expect(all.calls[0]).toMatchObject({ program: 'onehost', args: ['list', '-x'] });
  });

  it.each([
    ['[VirtualMachineInfo] Error getting virtual machine [99].', 'NOT_FOUND'],
    ['[one.vm.info] Error getting virtual machine [99].', 'NOT_FOUND'],
    ['HOST named x not found.', 'NOT_FOUND'],
    ['Connection refused - connect(2) for "localhost" port 2633', 'HOST_UNREACHABLE'],
    ['Failed to open TCP connection to localhost:2633', 'HOST_UNREACHABLE'],
    ["[VirtualMachineInfo] User couldn't be authenticated, aborting call.", 'COMMAND'],
    ['', 'COMMAND'],
  ])('`%s` is the error %s', async (message, code) => {
    for (const answer of [{ stdout: message }, { stderr: message }]) {
      const { commands } = answering({ ...answer, exitCode: 255 });
      await expect(createFrontend(commands, { kind: 'local' }).virtualMachine(99)).rejects.toMatchObject({ code });
    }
  });

  it('an answer that is no document is refused', async () => {
    const { commands } = answering({ stdout: '<VM>' });
    await expect(createFrontend(commands, { kind: 'local' }).virtualMachine(7)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('the document of VM 7') as string,
    });
  });
});

describe('from a host', () => {
  it('the same question goes over ssh, which neither asks nor takes the host for an option', async () => {
    const { commands, calls } = answering({ stdout: `${recordedFile('3.8', 'onevm-show-x.xml')}cxm-exit:0\n` });
    expect(await createFrontend(commands, ssh).virtualMachine(8)).toMatchObject({ id: 8 });
    expect(calls[0]?.program).toBe('ssh');
    expect(calls[0]?.args).toEqual([
      ...['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=10', '-l', 'oneadmin', '--', 'front'],
      'onevm show -x 8; echo cxm-exit:$?',
    ]);
  });

  it('root uses the key of another account', async () => {
    const { commands, calls } = answering({ stdout: '<HOST_POOL/>\ncxm-exit:0\n' });
    await createFrontend(commands, { ...ssh, runAs: 'oneadmin', connectTimeoutSeconds: 3 }).hosts();
    expect(calls[0]?.program).toBe('runuser');
    expect(calls[0]?.args.slice(0, 8)).toEqual([
      '-u',
      'oneadmin',
      '--',
      'ssh',
      '-o',
      'BatchMode=yes',
      '-o',
      'ConnectTimeout=3',
    ]);
  });

  it('a failure of ssh is told from a failure of the command, though both end with 255', async () => {
    const away = answering({ stderr: 'ssh: connect to host front port 22: No route to host', exitCode: 255 });
    await expect(createFrontend(away.commands, ssh).virtualMachine(7)).rejects.toMatchObject({
      code: 'HOST_UNREACHABLE',
      hint: expect.stringContaining('ssh oneadmin@front true') as string,
    });
    const missing = answering({ stdout: '[VirtualMachineInfo] Error getting virtual machine [7].\ncxm-exit:255\n' });
    await expect(createFrontend(missing.commands, ssh).virtualMachine(7)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('only plain words reach the shell there', async () => {
    const { commands, calls } = answering({});
    for (const word of ['$(id)', 'a b', 'a;b', "'", '', 'x'.repeat(256)]) {
      await expect(createFrontend(commands, ssh).run('onevm', ['show', word])).rejects.toMatchObject({
        code: 'INVALID_INPUT',
      });
    }
    expect(calls).toEqual([]);
  });
});
