/**
 * Calling the drivers exactly as oned 7.x does: transfer manager actions on the frontend through `sh -c`, with their
 * words escaped; actions of the virtual machine manager through one `bash -s` over ssh on the host, with their data in a
 * quoted here-document. What comes back is kept with the time it took and the bytes that travelled.
 */
import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { frontendName, mountVariable, nodeOf, sandboxVariable, type Layout } from '../layout.ts';
import { bytesOf, trafficEnd, trafficSince } from '../traffic.ts';

export interface CallResult {
  readonly kind: 'tm' | 'vmm' | 'im' | 'hook' | 'cxm';
  readonly action: string;
  readonly args: readonly string[];
  /** Where it ran. */
  readonly machine: string;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
  /** Between the machines of the sandbox. */
  readonly sentBytes: number;
}

/** A call that ended with another exit code than 0. */
export class CallFailed extends Error {
  constructor(readonly result: CallResult) {
    super(`this call failed: ${result.kind}/${result.action}, exit code ${result.exitCode}`);
  }
}

export interface Caller {
  /** On the frontend. @throws CallFailed */
  transfer(action: string, args: readonly string[], standardInput?: string): Promise<CallResult>;
  /** On a host. `prepare` are lines of shell that run there before. @throws CallFailed */
  machine(host: string, action: string, args: readonly string[], data: string, prepare?: string): Promise<CallResult>;
  /** A probe on a host. @throws CallFailed */
  probe(host: string, path: string): Promise<CallResult>;
  /** The cluster's hook, on the host that a VM has left. @throws CallFailed */
  hook(host: string, args: readonly string[]): Promise<CallResult>;
}

export interface ClusterCaller extends Caller {
  /** The cluster's own command, on one of its nodes. @throws CallFailed */
  cluster(host: string, args: readonly string[]): Promise<CallResult>;
}

export interface CallerOptions {
  readonly layout: Layout;
  /** Volumes may be mounted through loop devices. */
  readonly mounts: boolean;
  readonly onStart?: (call: Pick<CallResult, 'kind' | 'action' | 'args' | 'machine'>) => void;
  readonly onEnd?: (result: CallResult) => void;
}

/** System programs and this Node; the stand-ins come before them. */
export function systemPath(): string {
  return [dirname(process.execPath), '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(delimiter);
}

/** The environment of a driver on the frontend: oned's own, bare. */
export function frontendEnvironment(layout: Layout, mounts: boolean): Record<string, string> {
  return {
    HOME: layout.one,
    USER: 'oneadmin',
    LOGNAME: 'oneadmin',
    LANG: 'C.UTF-8',
    PATH: [layout.frontendPrograms, systemPath()].join(delimiter),
    TMPDIR: layout.temporary,
    CXM_SANDBOX_PATH: systemPath(),
    [sandboxVariable]: layout.directory,
    [mountVariable]: mounts ? 'yes' : 'no',
  };
}

export function createCaller(options: CallerOptions): ClusterCaller {
  const { layout } = options;
  const ssh = (host: string, script: string): Program => ({
    words: ['ssh', '-o', 'ControlMaster=no', host, 'bash', '-s'],
    standardInput: script,
  });
  return {
    transfer: (action, args, standardInput = '') => {
      const line = [join(layout.remotes, 'tm/cxm', action), ...args].map(shellWord).join(' ');
      const call = { kind: 'tm', action, args, machine: frontendName } as const;
      return run(options, call, { words: ['sh', '-c', line], standardInput });
    },
    machine: (host, action, args, data, prepare = '') => {
      const script = join(nodeOf(layout, host).scripts, 'vmm/cxm', action);
      const call = { kind: 'vmm', action, args, machine: host } as const;
      return run(options, call, ssh(host, `${prepare}${hereDocument(data, script, args)}`));
    },
    probe: (host, path) => {
      const call = { kind: 'im', action: path, args: [], machine: host } as const;
      const { scripts, hostId } = nodeOf(layout, host);
      const words = [join(scripts, 'im', path), 'cxm', String(hostId), host];
      return run(options, call, ssh(host, `${words.map(quoted).join(' ')} </dev/null`));
    },
    hook: (host, args) => {
      const call = { kind: 'hook', action: 'one-migrate', args, machine: host } as const;
      const program = join(layout.library, 'one-migrate');
      return run(options, call, ssh(host, [program, ...args].map(quoted).join(' ')));
    },
    cluster: (host, [action = '', ...args]) => {
      const call = { kind: 'cxm', action, args, machine: host } as const;
      return run(options, call, ssh(host, ['cxm', action, ...args].map(quoted).join(' ')));
    },
  };
}

/** The script of a host's ssh stream: the data can't leave its document, since oned quotes the mark that ends it. */
export function hereDocument(data: string, script: string, args: readonly string[]): string {
  const command = [script, ...args].map(quoted).join(' ');
  return `cat << 'EOT' | ${command}\n${data}\nEOT\nrc=$?\n[ $rc = 0 ] || echo ExitCode: $rc 1>&2\nexit $rc\n`;
}

/** As Ruby's Shellwords.escape. */
export function shellWord(word: string): string {
  return word === '' ? "''" : word.replace(/[^A-Za-z0-9_\-.,:+/@\n]/g, '\\$&');
}

/** As oned quotes the words of a host's script. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

interface Program {
  readonly words: readonly string[];
  readonly standardInput: string;
}

async function run(
  { layout, mounts, onStart, onEnd }: CallerOptions,
  call: Pick<CallResult, 'kind' | 'action' | 'args' | 'machine'>,
  program: Program,
): Promise<CallResult> {
  onStart?.(call);
  const start = performance.now();
  const traffic = trafficEnd(layout.traffic);
  const end = await runProgram(program, layout.one, frontendEnvironment(layout, mounts));
  const sentBytes = bytesOf(trafficSince(layout.traffic, traffic));
  const result: CallResult = { ...call, ...end, durationMs: performance.now() - start, sentBytes };
  onEnd?.(result);
  if (result.exitCode !== 0) throw new CallFailed(result);
  return result;
}

function runProgram(
  { words, standardInput }: Program,
  cwd: string,
  environment: Record<string, string>,
): Promise<Pick<CallResult, 'exitCode' | 'stdout' | 'stderr'>> {
  const [program = '', ...args] = words;
  const child = spawn(program, args, { cwd, env: environment, stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => (said[name] += text));
  }
  child.stdin.on('error', () => undefined);
  child.stdin.end(standardInput);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...said, exitCode: code ?? 255 }));
  });
}
