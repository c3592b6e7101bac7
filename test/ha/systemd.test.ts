/** What systemd is told, by its own programs: a socket like systemd's receives it, and the unit is read as systemd reads it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { linkToSystemd } from '../../src/ha/daemon/systemd.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'cxm-ha-systemd-'));
const socket = join(directory, 'notify');
/** Node has no sockets of this kind. */
const listen = `my $s; socket($s, PF_UNIX, SOCK_DGRAM, 0) and bind($s, sockaddr_un($ARGV[0])) or die $!;
  $| = 1; print "listening\\n"; while (defined recv($s, my $said, 4096, 0)) { print join(" ", split /\\n/, $said), "\\n" }`;
let listener: ChildProcess;
let said = '';

beforeAll(async () => {
  listener = spawn('perl', ['-MSocket', '-e', listen, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  listener.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(listener.stdout ?? listener, 'data');
});
afterAll(() => {
  listener.kill();
  fs.rmSync(directory, { recursive: true });
});

describe('systemd', () => {
  test('hears that cxmd is ready, lives and stops; nothing that cxmd starts can say so', async () => {
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      NOTIFY_SOCKET: socket,
      WATCHDOG_USEC: '400000',
      WATCHDOG_PID: '1',
    };
    const link = linkToSystemd(env);
    expect(Object.keys(env).filter((name) => /NOTIFY|WATCHDOG/.test(name))).toEqual([]);
    link.notify('READY=1', 'STATUS=member of the cluster');
    link.startWatchdog();
    await expect.poll(() => said, { timeout: 10_000 }).toMatch(/READY=1.*\n(.*\n)*.*WATCHDOG=1.*\n(.*\n)*.*WATCHDOG=1/);
    expect(said).toContain('STATUS=member of the cluster');
    link.notify('STOPPING=1');
    await expect.poll(() => said, { timeout: 10_000 }).toContain('STOPPING=1');
  });

  test('finds nothing wrong with the unit of cxmd', () => {
    const unit = fs.readFileSync('share/systemd/cxmd.service', 'utf8');
    const file = join(directory, 'cxmd.service');
    fs.writeFileSync(file, unit.replaceAll('/usr/local/sbin/cxmd', process.execPath));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});
