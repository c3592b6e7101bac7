import { describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import type { CommandOptions, CommandResult, Commands } from '../../src/host/commands.ts';
import { parseDiskSpec } from '../../src/xen/disk.ts';
import { isToolstackError, toolstackError } from '../../src/xen/toolstack-error.ts';
import type { ToolstackReason } from '../../src/xen/toolstack-error.ts';
import { Xl } from '../../src/xen/xl.ts';
import { recording } from './recording.ts';

type Answer = (args: readonly string[], options?: CommandOptions) => Partial<CommandResult> | Error;

function xlThatAnswers(answer: Answer) {
  const calls: string[][] = [];
  const commands: Commands = {
    async run(program, args, options) {
      expect(program).toBe('xl');
      expect(options?.timeoutMs).toBeGreaterThan(0);
      calls.push([...args]);
      const said = answer(args, options);
      if (said instanceof Error) throw said;
      return { stdout: '', stderr: '', exitCode: 0, ...said };
    },
  };
  let nowMs = 0;
  const clock = {
    now: () => nowMs,
    sleep: async (milliseconds: number) => {
      nowMs += milliseconds;
    },
  };
  return { xl: new Xl(commands, { clock }), calls };
}

const answerOf = (name: string): Partial<CommandResult> => {
  const { stdout, stderr, exitCode } = recording(name);
  return { stdout, stderr, exitCode: exitCode ?? 0 };
};

const listOf = (...rows: string[]): Partial<CommandResult> => ({ stdout: ['Name ID', ...rows, ''].join('\n') });

describe('a failure', () => {
  it.each<[string, ToolstackReason, string]>([
    ['create-already-running', 'nameTaken', 'vm1'],
    ['create-not-enough-memory', 'noMemory', 'memory'],
    ['create-disk-in-use', 'diskInUse', '/dev/mapper/VG0-vm1'],
    ['create-missing-disk', 'missingDisk', '/dev/VG0/nosuch'],
    ['create-missing-kernel', 'missingKernel', '/srv/domu/nosuch'],
    ['create-missing-bridge', 'missingBridge', 'nobr'],
    ['create-bad-syntax', 'badConfig', 'bad-syntax.cfg:1'],
    ['create-badmem', 'badConfig', 'memory'],
    ['create-badtype', 'badConfig', 'pvq'],
    ['create-noname', 'badConfig', 'name'],
    ['create-nofile', 'badConfig', 'doesnotexist.cfg'],
    ['destroy-unknown', 'unknownDomain', 'nosuch'],
    ['destroy-dom0', 'domainZero', 'domain 0'],
    ['domid-unknown', 'unknownDomain', 'nosuch'],
    ['save-enospc', 'noSpaceForSave', 'No space left'],
    ['save-noperm', 'saveNotWritable', '/nosuchdir/x.sav'],
    ['restore-missing-file', 'missingSaveFile', 'restore file'],
    ['restore-already-running', 'nameTaken', 'vm2'],
    ['restore-bridge-missing', 'missingBridge', 'nobr'],
    ['shutdown-guest-unresponsive-60s', 'unresponsiveGuest', 'acknowledge'],
    ['reboot-guest-unresponsive-60s', 'unresponsiveGuest', 'acknowledge'],
    ['block-attach-dup', 'deviceExists', 'already exists'],
    ['block-attach-missing', 'missingDisk', '/dev/VG0/nosuch'],
    ['block-attach-unknown-dom', 'unknownDomain', 'nosuch'],
    ['block-detach-unknown', 'unknownDevice', 'xvdq'],
    ['network-attach-badbridge', 'missingBridge', 'nobr'],
    ['network-detach-unknown', 'unknownDevice', '7'],
    ['network-detach-mac', 'unknownDevice', '00:16:3e'],
    ['mem-set-toobig', 'memoryAboveMaximum', 'memory_static_max'],
    ['vcpu-set-toomany', 'tooManyVcpus', 'physical CPUs'],
    ['rename-dup', 'nameTaken', 'vm2'],
    ['migrate-unreachable-host', 'unreachable', 'No route to host'],
    ['migrate-target-bridge-missing', 'missingBridge', 'nobr'],
    ['migrate-target-lv-inactive', 'missingDisk', '/dev/VG0/vm1'],
    ['migrate-target-has-same-name', 'nameTaken', 'vm1'],
    ['migrate-unknown-dom', 'unknownDomain', 'nosuch'],
    ['migrate-no-shadow-paging', 'cannotMigrate', 'logdirty'],
    ['create-guest-too-small', 'guestTooSmall', 'segment kernel too large'],
  ])('%s is %s and says what matters', (name, reason, words) => {
    const { stderr, exitCode } = recording(`xl-4.17-${name}`);
    expect(exitCode).not.toBe(0);
    const error = toolstackError('xl something', exitCode ?? 1, stderr);
    expect(error.reason).toBe(reason);
    expect(error.message).toContain(words);
    expect(error.message).not.toMatch(/libxl: error|libxl_\w+\.c/);
    expect(error.hint).not.toBe('');
    expect(error.said).toBe(stderr);
    expect(isToolstackError(error, reason)).toBe(true);
    expect(isToolstackError(error, 'other')).toBe(false);
  });

  it('of a connection that was ended at its deadline or fell silent is told from other failures', () => {
    const ended =
      'migration transport process [7] exited with error status 124\nMigration failed, resuming at sender.\n';
    expect(toolstackError('xl migrate', 1, ended).reason).toBe('timeout');
    const silent = 'Timeout, server node2 not responding.\nMigration failed, resuming at sender.\n';
    expect(toolstackError('xl migrate', 1, silent).reason).toBe('unreachable');
  });

  it('of a domain that ended by itself while it was to be destroyed is that it is unknown', () => {
    const gone = 'destroy failed (rc=-21)\n';
    expect(toolstackError('xl destroy 6', 255, gone)).toMatchObject({ reason: 'unknownDomain' });
    expect(toolstackError('xl destroy 6', 255, 'destroy failed (rc=-3)\n')).toMatchObject({ reason: 'other' });
  });

  it('of a restore or an arriving guest that finds no memory is told from other failures', () => {
    const full = 'xc: error: Failed to populate physmap (16 = Device or resource busy): Internal error\n';
    expect(toolstackError('xl restore', 3, full)).toMatchObject({ reason: 'noMemory' });
    expect(toolstackError('xl restore', 3, full).hint).toContain('free memory');
  });

  it('with words nobody knows is other, with the first line that says something', () => {
    const error = toolstackError(
      'xl create',
      3,
      'Parsing config from x\nlibxl: error: libxl_x.c:1:f: Domain 2:it broke\n',
    );
    expect(error).toMatchObject({ reason: 'other', code: 'XEN', message: 'xl create failed: Domain 2:it broke' });
    expect(toolstackError('xl create', 3, '').message).toContain('exit code 3');
  });
});

describe('xl', () => {
  it('believes the message, not the exit code 0, when it lists the disks of an unknown domain', async () => {
    const { xl } = xlThatAnswers(() => answerOf('xl-4.17-block-list-unknown'));
    await expect(xl.blockList('nosuch')).rejects.toMatchObject({ reason: 'unknownDomain', code: 'NOT_FOUND' });
    const ok = xlThatAnswers(() => answerOf('xl-4.17-block-list-2'));
    expect(await ok.xl.blockList('vm1')).toHaveLength(2);
  });

  it('takes no name, path, host or device for an option, an id or shell text', async () => {
    const { xl, calls } = xlThatAnswers(() => ({}));
    const disk = parseDiskSpec('phy:/dev/vg/lv,xvda,w');
    for (const name of ['-f', '--help', '', '17', 'a\nb', 'a\0b']) {
      await expect(xl.destroy(name)).rejects.toBeInstanceOf(CxmError);
      await expect(xl.save(name, '/x')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
      await expect(xl.blockAttach(name, disk)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
      await expect(xl.rename('a', name)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    }
    for (const path of ['-p', 'relative', '', '/x\0y']) {
      await expect(xl.create(path)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
      await expect(xl.restore(path)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
      await expect(xl.restore('/x', { configPath: path })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    }
    for (const host of ['-oProxyCommand=x', 'a b', 'a;reboot', '$(reboot)', '`x`', "a'", '', 'root@host', 'a\nb']) {
      await expect(xl.migrate('vm', host)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    }
    await expect(xl.blockDetach('vm', '--force')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(xl.networkDetach('vm', '-1')).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(xl.setMemory('vm', -5)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(xl.setVcpus('vm', 1.5)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(calls).toEqual([]);
  });

  it('migrates with keepalives, a deadline on the connection, and itself a little more time', async () => {
    let timeoutMs = 0;
    const { xl, calls } = xlThatAnswers((_args, options) => {
      timeoutMs = options?.timeoutMs ?? 0;
      return {};
    });
    await xl.migrate('vm1', 'node2.example', { deadlineMs: 90_000 });
    const connection =
      'timeout -k 10 90 ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=5 -o ServerAliveCountMax=3';
    expect(calls).toEqual([['migrate', '-s', connection, 'vm1', 'node2.example']]);
    expect(timeoutMs).toBeGreaterThan(100_000);
  });

  it.each(['save', 'restore'] as const)(
    'gives a %s more time than any deadline of its file, as far as a timer can count',
    async (action) => {
      let timeoutMs = 0;
      const { xl } = xlThatAnswers((_args, options) => {
        timeoutMs = options?.timeoutMs ?? 0;
        return {};
      });
      await (action === 'save' ? xl.save('vm1', '/x') : xl.restore('/x', { paused: true }));
      expect(timeoutMs).toBeGreaterThan(12 * 60 * 60_000);
      expect(timeoutMs).toBeLessThan(2 ** 31);
    },
  );

  it('calls a run that does not end a timeout with unknown effect', async () => {
    const { xl } = xlThatAnswers(() => new CxmError('TIMEOUT', 'xl did not end'));
    await expect(xl.destroy('vm1')).rejects.toMatchObject({ reason: 'timeout', code: 'TIMEOUT', changed: 'maybe' });
  });

  it('does not hide that xl is missing', async () => {
    const { xl } = xlThatAnswers(() => new CxmError('COMMAND', 'program xl is missing on this machine'));
    await expect(xl.list()).rejects.toMatchObject({ code: 'COMMAND' });
  });

  it('passes disks and interfaces as xl reads them', async () => {
    const { xl, calls } = xlThatAnswers(() => ({}));
    await xl.blockAttach('vm1', parseDiskSpec('phy:/dev/vg/lv,xvdb,w'));
    await xl.networkAttach(3, { mac: '00:16:3e:77:01:01', bridge: 'xenbr0' });
    expect(calls).toEqual([
      ['block-attach', 'vm1', 'format=raw, vdev=xvdb, access=rw, target=/dev/vg/lv'],
      ['network-attach', '3', 'mac=00:16:3e:77:01:01', 'bridge=xenbr0'],
    ]);
  });
});

describe('a shutdown', () => {
  const running = 'vm1   5   128     1     -b----       9.9';
  const options = { wait: true, timeoutMs: 120_000 };

  it('of a domain that is not there is done', async () => {
    const { xl, calls } = xlThatAnswers(() => listOf());
    expect(await xl.shutdown('vm1', options)).toBe('gone');
    expect(calls).toEqual([['list', '-v']]);
  });

  it('waits until the domain is gone, by id: a successor of the same name is another domain', async () => {
    const lists = [listOf(running), listOf(running.replace('-b----', '--ps--'))];
    const successor = listOf(running.replace(' 5 ', ' 6 '));
    const { xl, calls } = xlThatAnswers((args) => (args[0] === 'list' ? (lists.shift() ?? successor) : {}));
    expect(await xl.shutdown('vm1', options)).toBe('gone');
    expect(calls[1]).toEqual(['shutdown', '-F', '5']);
    expect(lists).toEqual([]);
  });

  it('tells when the guest has ended and nobody cleans up', async () => {
    const lists = [listOf(running)];
    const stuck = listOf(running.replace('-b----', '---s--'));
    const { xl } = xlThatAnswers((args) => (args[0] === 'list' ? (lists.shift() ?? stuck) : {}));
    expect(await xl.shutdown('vm1', options)).toBe('leftBehind');
  });

  it('tells when the guest went on, did not answer, or when nobody was to wait', async () => {
    const going: Answer = (args) => (args[0] === 'list' ? listOf(running) : {});
    expect(await xlThatAnswers(going).xl.shutdown('vm1', options)).toBe('stillRunning');
    expect(await xlThatAnswers(going).xl.shutdown('vm1', { wait: false, timeoutMs: 1 })).toBe('requested');
    const deaf: Answer = (args) =>
      args[0] === 'list' ? listOf(running) : answerOf('xl-4.17-shutdown-guest-unresponsive-60s');
    expect(await xlThatAnswers(deaf).xl.shutdown('vm1', options)).toBe('unresponsive');
    const raced: Answer = (args) => (args[0] === 'list' ? listOf(running) : answerOf('xl-4.17-shutdown-unknown'));
    expect(await xlThatAnswers(raced).xl.shutdown('vm1', options)).toBe('gone');
  });

  it('that fails for another reason is an error', async () => {
    const broken: Answer = (args) => (args[0] === 'list' ? listOf(running) : { exitCode: 1, stderr: 'xl: broken\n' });
    await expect(xlThatAnswers(broken).xl.shutdown('vm1', options)).rejects.toMatchObject({ reason: 'other' });
  });
});
