/**
 * The probe scripts as installed, run as oned's versions run them: bundled programs, real processes, with stand-ins for
 * sudo, xl and xentop in PATH.
 */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { recording } from '../../xen/recording.ts';
import { listOf } from './stand-in.ts';

const root = resolve(import.meta.dirname, '../../..');
const base = fs.mkdtempSync(join(tmpdir(), 'cxm-probes-test-'));
const remotes = join(base, 'remotes');
const im = join(remotes, 'im');
const answers = join(base, 'answers');
const callLog = join(base, 'calls');

function script(path: string, text: string): void {
  fs.writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

/** What xl and xentop say: stdout and exit code. */
function answer(command: string, stdout: string, exitCode = 0): void {
  fs.writeFileSync(join(answers, `${command}.out`), stdout);
  fs.writeFileSync(join(answers, `${command}.rc`), String(exitCode));
}

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], options: { input?: string; cwd?: string } = {}): Run {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: options.cwd ?? base,
    input: options.input ?? '',
    encoding: 'utf8',
    env: { PATH: `${base}/bin:${process.env['PATH'] ?? ''}`, TMPDIR: join(base, 'tmp') },
  });
  return { status, stdout, stderr };
}

const configuration =
  '<MONITOR_CONFIGURATION><HOST_ID>1</HOST_ID><PROBES_PERIOD><SYNC_STATE_VM>180</SYNC_STATE_VM></PROBES_PERIOD></MONITOR_CONFIGURATION>';

/** As OpenNebula's client does it: every executable file of the directory, with arguments and configuration. */
function runDirectory(directory: string): Run {
  const outputs: string[] = [];
  for (const name of fs.readdirSync(join(im, 'cxm-probes.d', directory))) {
    const path = join(im, 'cxm-probes.d', directory, name);
    expect(fs.statSync(path).mode & 0o111, `${path} is executable`).toBe(0o111);
    const result = run(path, ['cxm', '1', 'host01'], { input: configuration });
    if (result.status !== 0) return result;
    outputs.push(result.stdout);
  }
  return { status: 0, stdout: outputs.join(''), stderr: '' };
}

/** The order of 3.x and 4.x: what `ls *` names and can be executed, in the directory itself. */
const oldRunner = `cd "$1" && shift
for file in $(ls *); do
  if [ -x "$file" ]; then ./$file "$@" || { echo "Error executing $file" >&2; exit 1; }; fi
done`;

function runOldStyle(directory: string, args: readonly string[]): Run {
  return run('bash', ['-c', oldRunner, 'bash', join(im, directory), ...args]);
}

beforeAll(async () => {
  for (const directory of ['bin', 'tmp', 'answers', 'remotes/cxm', 'vm']) {
    fs.mkdirSync(join(base, directory), { recursive: true });
  }
  fs.cpSync(join(root, 'remotes/im'), im, { recursive: true, filter: (path) => !path.endsWith('.ts') });
  const common = { bundle: true, platform: 'node', target: 'node20', format: 'cjs', logLevel: 'silent' } as const;
  const contents = `import { runAction } from './src/one/action.ts';
    import { action } from './remotes/im/cxm/probe.ts';
    exports.run = (file) => runAction(action, file, process.argv.slice(2));`;
  await build({ ...common, stdin: { contents, resolveDir: root, loader: 'js' }, outfile: join(remotes, 'cxm/im.js') });
  fs.mkdirSync(join(im, 'cxm'), { recursive: true });
  fs.writeFileSync(
    join(im, 'cxm/probe'),
    `#!/usr/bin/env node\nrequire('../../cxm/im.js').run(require('path').resolve(process.argv[1]));\n`,
    { mode: 0o755 },
  );
  await build({ ...common, entryPoints: [join(root, 'src/agent/main.ts')], outfile: join(base, 'cxm-host.cjs') });
  fs.writeFileSync(join(remotes, 'cxmrc'), `VG_NAME="VG0"\nCFG_DIR="${base}/vm"\nAUTO_DIR="${base}/auto"\n`);
  fs.writeFileSync(join(remotes, 'VERSION'), '7.0.1\n');
  fs.writeFileSync(join(base, 'vm/vm1'), '# OpenNebula VM 12 (cxm)\nname = "vm1"\n');
  script(join(base, 'bin/sudo'), `[ "$*" = "-n /usr/local/sbin/cxm-host" ] && exec node ${base}/cxm-host.cjs\nexit 1`);
  script(join(base, 'bin/logger'), 'exit 0');
  for (const program of ['xl', 'xentop']) {
    script(
      join(base, 'bin', program),
      `command="${program} $*"\necho "$command" >> ${callLog}\ncat "${answers}/$command.out" || exit 99\nexit $(cat "${answers}/$command.rc")`,
    );
  }
});

afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

beforeEach(() => {
  fs.rmSync(callLog, { force: true });
  fs.rmSync(join(base, 'tmp'), { recursive: true });
  fs.mkdirSync(join(base, 'tmp'));
  for (const name of ['kvm.d', 'run_monitord_client']) fs.rmSync(join(im, name), { recursive: true, force: true });
  answer('xl list -v', recording('xl-4.17-list-v').stdout);
  answer('xl list -l', recording('xl-4.17-list-l-json').stdout);
  answer('xl info', recording('xl-4.17-info').stdout);
  answer('xentop -b -f -i 1', recording('xentop-4.17-b-i1-full').stdout);
});

function calls(): string[] {
  return fs.readFileSync(callLog, 'utf8').trim().split('\n').sort();
}

describe('the probes of 5.12 and later', () => {
  it('have every directory that the client asks for, each with something in it', () => {
    for (const directory of [
      'host/beacon',
      'host/monitor',
      'host/system',
      'vm/monitor',
      'vm/status',
      'vm/snapshot',
      'vm/execution',
    ]) {
      expect(fs.readdirSync(join(im, 'cxm-probes.d', directory))).not.toEqual([]);
    }
  });

  it('host/system, with the version of the remotes and the wild domain', () => {
    const { status, stdout } = runDirectory('host/system');
    expect(status).toBe(0);
    expect(stdout).toContain('HYPERVISOR=xen\n');
    expect(stdout).toContain('TOTALMEMORY=1571840\n');
    expect(stdout).toContain('VERSION="7.0.1"\n');
    expect(stdout).toMatch(/^VM = \[ ID="-1", DEPLOY_ID="vm2"/m);
    expect(calls()).toEqual(['xl info', 'xl list -l', 'xl list -v']);
  });

  it('host/monitor', () => {
    const { status, stdout } = runDirectory('host/monitor');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^USEDMEMORY=543744\nFREEMEMORY=1028096\nUSEDCPU=\d+\nFREECPU=\d+\nNETRX=\d+\nNETTX=\d+\n$/);
  });

  it('vm/status: all, then nothing new, remembered in a directory of this user alone', () => {
    expect(runDirectory('vm/status').stdout).toBe(
      'SYNC_STATE=yes\nMISSING_STATE=UNKNOWN\nVM = [ ID="12", DEPLOY_ID="vm1", STATE="RUNNING" ]\n',
    );
    expect(runDirectory('vm/status')).toMatchObject({ status: 0, stdout: '' });
    const [directory = ''] = fs.readdirSync(join(base, 'tmp'));
    expect(fs.statSync(join(base, 'tmp', directory)).mode & 0o777).toBe(0o700);
  });

  it('vm/status refuses a memory that somebody else could have written', () => {
    runDirectory('vm/status');
    const directory = join(base, 'tmp', fs.readdirSync(join(base, 'tmp'))[0] ?? '');
    fs.chmodSync(directory, 0o777);
    expect(runDirectory('vm/status')).toMatchObject({ stdout: '', status: 1 });
    fs.rmSync(directory, { recursive: true });
    fs.symlinkSync(base, directory);
    expect(runDirectory('vm/status')).toMatchObject({ stdout: '', status: 1 });
  });

  it('vm/monitor', () => {
    expect(runDirectory('vm/monitor').stdout).toMatch(
      /^VM = \[ ID="12", UUID="[0-9a-f-]{36}", DEPLOY_ID="vm1", MONITOR="[A-Za-z0-9+/=]+" \]\n$/,
    );
  });

  it('the beacon says something, or the client would not send it', () => {
    expect(runDirectory('host/beacon')).toMatchObject({ status: 0 });
    expect(runDirectory('host/beacon').stdout.trim()).not.toBe('');
    for (const empty of ['vm/snapshot', 'vm/execution'])
      expect(runDirectory(empty)).toMatchObject({ status: 0, stdout: '' });
  });

  it('fail with one line and print nothing when xl is broken, and nobody is missing afterwards', () => {
    runDirectory('vm/status');
    answer('xl list -v', 'Name                                        ID   Mem VCPUs\tState\tTime(s)\n', 1);
    for (const directory of ['host/system', 'host/monitor', 'vm/monitor', ...Array<string>(4).fill('vm/status')]) {
      const { status, stdout, stderr } = runDirectory(directory);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^xl list.*\[XEN\]\n$/);
    }
    answer('xl list -v', recording('xl-4.17-list-v').stdout);
    expect(runDirectory('vm/status')).toMatchObject({ status: 0, stdout: '' });
  }, 60_000);

  it('one run costs one pass over xl with 50 domains', () => {
    const domains = Array.from({ length: 50 }, (_, index) => ({ name: `web${index}` }));
    for (const [index, { name }] of domains.entries()) {
      fs.writeFileSync(join(base, 'vm', name), `# OpenNebula VM ${100 + index} (cxm)\n`);
    }
    answer('xl list -v', listOf(domains));
    const { stdout } = runDirectory('vm/monitor');
    expect(stdout.trim().split('\n')).toHaveLength(50);
    expect(calls()).toEqual(['xentop -b -f -i 1', 'xl list -v']);
    fs.rmSync(callLog);
    expect(runDirectory('vm/status').stdout.trim().split('\n')).toHaveLength(52);
    expect(calls()).toEqual(['xl list -v']);
  });
});

describe("OpenNebula's own client", () => {
  const client = (name: string): void => {
    fs.mkdirSync(join(im, 'kvm.d'), { recursive: true });
    script(join(im, 'kvm.d', name), 'echo "$(pwd)|$0|$*|$(cat)"');
  };

  it('of 5.12 and later is started where it lies, with our arguments and input', () => {
    client('monitord-client_control.sh');
    fs.writeFileSync(join(im, 'run_monitord_client'), '');
    const control = join(im, 'cxm.d/monitord-client_control.sh');
    const args = ['cxm', '1', 'host01'];
    expect(run(control, args, { input: '<XML/>' }).stdout).toBe(
      `${im}/kvm.d|./monitord-client_control.sh|cxm 1 host01|<XML/>\n`,
    );
    expect(run('./monitord-client_control.sh', ['stop', ...args], { cwd: join(im, 'cxm.d') }).stdout).toBe(
      `${im}/kvm.d|./monitord-client_control.sh|stop cxm 1 host01|\n`,
    );
    expect(runOldStyle('cxm.d', args).stdout.split('\n')).toHaveLength(2);
  });

  it('is named when it is missing', () => {
    fs.writeFileSync(join(im, 'run_monitord_client'), '');
    const { status, stderr } = run(join(im, 'cxm.d/monitord-client_control.sh'), ['cxm', '1', 'host01']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/kvm\.d\/monitord-client_control\.sh is missing/);
  });

  it('of 4.x to 5.10 is started likewise, and the one report has the host and its VMs', () => {
    client('collectd-client_control.sh');
    const args = ['cxm', '/var/lib/one/datastores', '4124', '20', '1', 'host01'];
    expect(runOldStyle('cxm.d', args)).toMatchObject({
      status: 0,
      stdout: `${im}/kvm.d|./collectd-client_control.sh|${args.join(' ')}|\n`,
    });
    const { status, stdout } = runOldStyle('cxm-probes.d', ['cxm-probes', ...args.slice(1)]);
    expect(status).toBe(0);
    expect(stdout.match(/^HYPERVISOR=xen$/gm)).toHaveLength(1);
    expect(stdout.match(/^VM_POLL=YES$/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^VM=\[ ID=12, DEPLOY_ID="vm1", /m);
    expect(stdout.match(/^VERSION="7\.0\.1"$/gm)).toHaveLength(1);
    expect(calls()).toEqual(['xentop -b -f -i 1', 'xl info', 'xl list -l', 'xl list -v']);
  });
});

describe('the probe of 3.x', () => {
  it('prints the host, and the clients of later versions beside it nothing', () => {
    const { status, stdout } = runOldStyle('cxm.d', ['cxm', '1', 'host01']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^HYPERVISOR=xen\n/);
    expect(stdout).toMatch(/^FREEMEMORY=1028096\n/m);
    for (const line of stdout.trim().split('\n')) expect(line).toMatch(/^[A-Z_]+=\S/);
    expect(calls()).toContain('xl info');
  });

  it('does not wait for a standard input that stays open', async () => {
    const child = spawn(join(im, 'cxm.d/host-3.x'), ['cxm', '1', 'host01'], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: `${base}/bin:${process.env['PATH'] ?? ''}` },
    });
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(0);
    child.stdin.destroy();
  });

  it('fails when xl does, which puts the host into error', () => {
    answer('xl info', '', 1);
    expect(runOldStyle('cxm.d', ['cxm', '1', 'host01'])).toMatchObject({ status: 1, stdout: '' });
  });
});

it('a word that stands for no probe is refused with the words that do', () => {
  const { status, stderr } = run(join(im, 'cxm/probe'), ['constructor']);
  expect(status).toBe(1);
  expect(stderr).toMatch(/host-system\|host-monitor\|vm-status/);
});
