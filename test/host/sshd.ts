/**
 * A real sshd on the loopback interface, with host keys, users' keys and known_hosts of its own, for tests. Nothing of
 * this machine's ssh is read or written. As root it has users of its own, in a mount namespace where other files stand for
 * /etc/passwd and /etc/sudoers: root's start-up files are nobody's business, and there is an ordinary user.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { NodesOptions } from '../../src/host/nodes.ts';

const program = '/usr/sbin/sshd';
export const isRoot = process.getuid?.() === 0;
export const hasSshd = existsSync(program) && spawnSync('ssh', ['-V']).status === 0;

/** Whether an ordinary user can be had: root, who may make namespaces. */
export const hasNamespaces = isRoot && spawnSync('unshare', ['-m', 'true']).status === 0;
export const ordinaryUser = 'cxmtest';

export interface SshdOptions {
  /** Lines of sshd_config before ours. */
  readonly config?: readonly string[];
  /** Logs in as an ordinary user, who may use sudo as these lines of sudoers say. */
  readonly sudoers?: readonly string[];
  /** What the login shell of the ordinary user reads. */
  readonly bashrc?: string;
}

export interface Sshd {
  readonly directory: string;
  readonly port: number;
  /** Private key that it lets in. */
  readonly identity: string;
  /** The line of known_hosts of one of its keys. */
  hostKey(type: 'ed25519' | 'rsa' | 'ecdsa'): string;
  /** Writes an ssh_config in which `node1` is this sshd, and a known_hosts; what is given stands before it. */
  configure(settings?: ClientSettings): NodesOptions;
  /** The processes that serve connections. */
  sessions(): number[];
  readonly process: ChildProcess;
  /** Starts it again, at the same port. */
  restart(): Promise<void>;
  log(): string;
  stop(): void;
}

export interface ClientSettings {
  /** Lines within `Host node1`, the first of a key counts. */
  readonly lines?: readonly string[];
  readonly knownHosts?: string;
  /** Instead of the key that is let in. */
  readonly identity?: string;
}

let configurations = 0;

export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-sshd-'));
  chmodSync(directory, 0o755);
  const port = await freePort();
  const file = (name: string): string => join(directory, name);
  for (const type of ['ed25519', 'rsa', 'ecdsa']) makeKey(file(`host_${type}`), type);
  makeKey(file('id'), 'ed25519');
  writeFileSync(file('authorized_keys'), readFileSync(file('id.pub')), { mode: 0o644 });
  const user = options.sudoers === undefined ? userInfo().username : ordinaryUser;
  writeFileSync(file('sshd_config'), configText(options, directory, port));
  if (isRoot) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const start = hasNamespaces ? withOwnUsers(directory, options) : [];
  let child = await run(start, directory, port);
  const hostKey = (type: string): string => {
    const [algorithm, key] = readFileSync(file(`host_${type}.pub`), 'utf8').split(' ');
    return `[127.0.0.1]:${port} ${algorithm} ${key}\n`;
  };
  return {
    directory,
    port,
    identity: file('id'),
    hostKey,
    configure({ lines = [], knownHosts = hostKey('ed25519'), identity = file('id') } = {}) {
      const name = file(`client-${(configurations += 1)}`);
      writeFileSync(`${name}-known`, knownHosts);
      const own = [
        ...['HostName 127.0.0.1', `Port ${port}`, `User ${user}`, `IdentityFile ${identity}`, 'IdentitiesOnly yes'],
        ...['IdentityAgent none', `UserKnownHostsFile ${name}-known`, 'GlobalKnownHostsFile /dev/null'],
      ];
      writeFileSync(name, `Host node1\n${[...lines, ...own].map((line) => `  ${line}\n`).join('')}`);
      return { localName: 'here', sshConfigFile: name };
    },
    sessions: () => descendants(child.pid ?? 0),
    get process() {
      return child;
    },
    async restart() {
      stopAll(child);
      child = await run(start, directory, port);
    },
    log: () => readFileSync(file('log'), 'utf8'),
    stop() {
      stopAll(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export function makeKey(file: string, type: string, passphrase = ''): void {
  execFileSync('ssh-keygen', [
    '-q',
    '-t',
    type,
    ...(type === 'rsa' ? ['-b', '2048'] : []),
    '-N',
    passphrase,
    '-C',
    '',
    '-f',
    file,
  ]);
}

function configText({ config = [] }: SshdOptions, directory: string, port: number): string {
  const file = (name: string): string => join(directory, name);
  return [
    ...config,
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    ...['ed25519', 'rsa', 'ecdsa'].map((type) => `HostKey ${file(`host_${type}`)}`),
    `AuthorizedKeysFile ${file('authorized_keys')}`,
    'PidFile none',
    `UsePAM ${isRoot && !hasNamespaces ? 'yes' : 'no'}`,
    'StrictModes no',
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'LogLevel VERBOSE',
    'MaxStartups 100',
    '',
  ].join('\n');
}

/** The words before sshd's own: a mount namespace with a root without start-up files, and an ordinary user. */
function withOwnUsers(directory: string, { sudoers = [], bashrc }: SshdOptions): string[] {
  const file = (name: string): string => join(directory, name);
  const id = 61_234;
  const home = file('home');
  mkdirSync(home, { mode: 0o755 });
  chownSync(home, id, id);
  if (bashrc !== undefined) writeFileSync(join(home, '.bashrc'), bashrc);
  const others = (name: string): string => readFileSync(`/etc/${name}`, 'utf8').replace(/^root:.*\n/m, '');
  const root = file('root');
  mkdirSync(root);
  writeFileSync(join(root, 'a'), ''); // a pattern that nobody has quoted finds it
  const users = `root:x:0:0::${root}:/bin/sh\n${ordinaryUser}:x:${id}:${id}::${home}:/bin/bash\n`;
  writeFileSync(file('passwd'), `${users}${others('passwd')}`);
  const passwords = `root:*:19000::::::\n${ordinaryUser}:*:19000::::::\n`;
  writeFileSync(file('shadow'), `${passwords}${others('shadow')}`, { mode: 0o600 });
  const lines = ['Defaults !pam_session', 'Defaults !syslog', ...sudoers, ''];
  writeFileSync(file('sudoers'), lines.join('\n'));
  chmodSync(file('sudoers'), 0o440);
  const script = `for name in passwd shadow sudoers; do
      [ ! -e /etc/$name ] || mount --bind "$1/$name" /etc/$name || exit
    done; shift; exec "$@"`;
  return ['unshare', '-m', 'sh', '-c', script, 'sh', directory];
}

async function run(before: readonly string[], directory: string, port: number): Promise<ChildProcess> {
  const words = [...before, program, '-D', '-f', join(directory, 'sshd_config'), '-E', join(directory, 'log')];
  const child = spawn(words[0] ?? '', words.slice(1), { stdio: 'ignore' });
  for (let tries = 0; tries < 1200; tries += 1) {
    if (child.exitCode !== null) break;
    const log = existsSync(join(directory, 'log')) ? readFileSync(join(directory, 'log'), 'utf8') : '';
    if (log.split(`Server listening on 127.0.0.1 port ${port}`).length > runs(log)) return child;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  child.kill('SIGKILL');
  throw new Error(`sshd did not start: ${readFileSync(join(directory, 'log'), 'utf8')}`);
}

/** How often it has ended before, by its own log. */
function runs(log: string): number {
  return log.split('Received signal 15; terminating').length;
}

function stopAll(child: ChildProcess): void {
  for (const pid of descendants(child.pid ?? 0)) send(pid, 'SIGKILL');
  child.kill('SIGCONT');
  child.kill('SIGTERM');
  spawnSync('sleep', ['0.1']);
}

export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended in the meantime.
  }
}

/** Processes that come from one, itself left out. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const status = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It has ended in the meantime.
    }
  }
  const found: number[] = [];
  for (let at = [pid]; at.length > 0;) {
    at = [...parents].filter(([, parent]) => at.includes(parent)).map(([child]) => child);
    found.push(...at);
  }
  return found;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
