/** cxmd as the service that docs/ha.md installs, under a real systemd. Needs root and a build. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SystemdMachine, systemdIsHere } from './systemd-machine.ts';

const unit = 'cxmd.service';
const patience = { timeout: 30_000, interval: 300 };

const configuration = `CLUSTER_NAME = "one"
ALLOWED_NODES = ['node1']
NODE_ADDRESSES = ['node1=10.79.0.1']
HB_DISK = "/var/lib/heartbeat"
FENCE_CMD = "/bin/false"
TIMER = 1
`;

describe.skipIf(!systemdIsHere())('cxmd under systemd', { timeout: 120_000 }, () => {
  let machine: SystemdMachine;

  const ok = async (...words: readonly string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await machine.run(...words);
    expect({ words, exitCode, stderr }).toEqual({ words, exitCode: 0, stderr: '' });
    return stdout.trim();
  };
  const property = (name: string): Promise<string> => ok('systemctl', 'show', '--value', '--property', name, unit);
  const mainProcess = (): Promise<string> => property('MainPID');
  interface Line {
    readonly MESSAGE: string;
    readonly PRIORITY: string;
  }
  const journal = async (): Promise<readonly Line[]> => {
    const lines = await ok('journalctl', '--unit', unit, '--output', 'json', '_TRANSPORT=stdout');
    return lines.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
  };
  const told = async (event: string): Promise<number> =>
    (await journal()).filter(({ MESSAGE }) => MESSAGE.startsWith(event)).length;
  const bystander = async (): Promise<string> => {
    // As xl's monitor of a VM is: in the group of the service, and none of its business.
    const start =
      'setsid sleep 600 >/dev/null 2>&1 & echo $!; echo $! > /sys/fs/cgroup/system.slice/cxmd.service/cgroup.procs';
    return ok('sh', '-c', start);
  };
  const isAlive = async (pid: string): Promise<boolean> => (await machine.run('kill', '-0', pid)).exitCode === 0;

  beforeAll(async () => {
    machine = await SystemdMachine.boot('node1');
    await ok('ip', 'link', 'add', 'lan0', 'type', 'bridge');
    await ok('ip', 'address', 'add', '10.79.0.1/24', 'dev', 'lan0');
    await ok('ip', 'link', 'set', 'lan0', 'up');
    if (!process.execPath.startsWith('/usr/')) await ok('ln', '-sf', process.execPath, '/usr/local/bin/node');
    for (const program of ['cxmd', 'cxmd_ctl', 'cxm']) {
      machine.write(`/usr/local/sbin/${program}`, readFileSync(`dist/sbin/${program}`), 0o755);
    }
    machine.write('/usr/sbin/xl', readFileSync('dist/sandbox/xl'), 0o755);
    machine.write(`/etc/systemd/system/${unit}`, readFileSync('share/systemd/cxmd.service'));
    machine.write('/etc/systemd/system/cxmd.service.d/test.conf', '[Service]\nWatchdogSec=8\n');
    machine.write('/etc/xen/cxm.conf', configuration);
    machine.write('/etc/xen/cxmd.key', `${'ab'.repeat(32)}\n`, 0o600);
    await ok('truncate', '--size', '4M', '/var/lib/heartbeat');
    expect(await machine.run('cxmd_ctl', '--format', '--yes')).toMatchObject({ exitCode: 0 });
    await ok('systemctl', 'daemon-reload');
  });
  afterAll(() => machine.close());

  test('is started only when it is ready, says in its status what it is, and logs with priority and number', async () => {
    await ok('systemctl', 'start', unit);
    expect(await property('ActiveState')).toBe('active');
    await expect.poll(() => property('StatusText'), patience).toBe('master');
    const { stdout } = await machine.run('cxmd_ctl', '--status', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ master: 'node1', state: 'normal' });
    const lines = await journal();
    expect(lines.find(({ MESSAGE }) => MESSAGE.startsWith('CXM001 '))).toMatchObject({ PRIORITY: '5' });
    expect(lines.filter(({ MESSAGE }) => !/^CXM\d{3} /.test(MESSAGE))).toEqual([]);
  });

  test('reads its configuration again on a reload, in the same process', async () => {
    const before = await mainProcess();
    machine.write('/etc/xen/cxm.conf', `${configuration}LB_INTERVAL = 60\n`);
    await ok('systemctl', 'reload', unit);
    await expect.poll(() => told('CXM003 '), patience).toBe(1);
    expect(await mainProcess()).toBe(before);
  });

  test('tells that it lives for as long as it does, and is started anew when it hangs; what VMs need is left alone', async () => {
    const before = await mainProcess();
    const other = await bystander();
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    expect(await mainProcess()).toBe(before);
    await ok('kill', '-STOP', before);
    await expect.poll(mainProcess, patience).not.toBe(before);
    await expect.poll(() => property('ActiveState'), patience).toBe('active');
    expect(await property('NRestarts')).toBe('1');
    expect(await isAlive(other)).toBe(true);
  });

  test('ends on a stop, having said so, and takes nothing along', async () => {
    const other = await bystander();
    await ok('systemctl', 'stop', unit);
    expect(await property('Result')).toBe('success');
    expect(await told('CXM002 ')).toBe(1);
    expect(await isAlive(other)).toBe(true);
  });

  test('is not started again and again with a configuration that can not be used', async () => {
    machine.write('/etc/xen/cxm.conf', configuration.replace('TIMER = 1', 'TIMER = soon'));
    const { exitCode } = await machine.run('systemctl', 'start', unit);
    expect(exitCode).not.toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    expect(await property('ActiveState')).toBe('failed');
    expect(await property('ExecMainStatus')).toBe('3');
    expect(await property('NRestarts')).toBe('0');
    expect((await journal()).at(-1)).toMatchObject({
      PRIORITY: '3',
      MESSAGE: expect.stringContaining('TIMER') as string,
    });
  });
});
