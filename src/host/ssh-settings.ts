/**
 * How a node is reached over ssh: what the administrator's ssh_config says. OpenSSH itself is asked (`ssh -G`), so that
 * Include, Match, patterns and defaults mean what they mean for ssh. What we can't do is refused, never left out: a
 * jump host, a proxy command, a list of revoked keys.
 */
import { homedir, hostname, userInfo } from 'node:os';
import { CxmError } from '../errors.ts';
import { localCommands } from './commands.ts';

export interface SshSettings {
  /** As the cluster calls it. */
  readonly node: string;
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  readonly addressFamily: 'any' | 'inet' | 'inet6';
  /** The name under which the host's key is known, if it is another one. */
  readonly hostKeyAlias: string | undefined;
  readonly identityFiles: readonly string[];
  /** Only keys of the agent that an identity file names. */
  readonly identitiesOnly: boolean;
  /** Socket of the agent. */
  readonly agentSocket: string | undefined;
  readonly knownHostsFiles: readonly string[];
  /** undefined where ssh_config says nothing. */
  readonly connectTimeoutMs: number | undefined;
}

export interface SshQuestion {
  readonly node: string;
  /** Instead of the one that ssh_config names. */
  readonly user?: string | undefined;
  /** Instead of ~/.ssh/config and /etc/ssh/ssh_config. */
  readonly configFile?: string | undefined;
}

/** @throws CxmError UNSUPPORTED for what only ssh itself can do, COMMAND if ssh is missing or rejects its config */
export async function askSsh({ node, user, configFile }: SshQuestion): Promise<SshSettings> {
  const file = configFile === undefined ? [] : ['-F', configFile];
  const login = user === undefined ? [] : ['-l', user];
  const { stdout } = await localCommands.run('ssh', ['-G', ...file, ...login, '--', node], { timeoutMs: 10_000 });
  const own = { home: homedir(), user: userInfo().username, host: hostname(), uid: userInfo().uid };
  return parseSshSettings(node, stdout, own, process.env['SSH_AUTH_SOCK']);
}

export interface OwnMachine {
  readonly home: string;
  readonly user: string;
  readonly host: string;
  readonly uid: number;
}

/** Reads what `ssh -G` prints: lines of a key in small letters and its value. @throws CxmError UNSUPPORTED */
export function parseSshSettings(
  node: string,
  printed: string,
  own: OwnMachine,
  agent: string | undefined,
): SshSettings {
  const values = new Map<string, string[]>();
  for (const line of printed.split('\n')) {
    const [, key, value] = /^(\S+) (.*)$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) values.set(key, [...(values.get(key) ?? []), value]);
  }
  refuseUnsupported(node, values);
  const first = (key: string): string | undefined => {
    const value = values.get(key)?.[0];
    return value === undefined || value === 'none' ? undefined : value;
  };
  const [hostName, user, port] = [first('hostname') ?? node, first('user') ?? own.user, Number(first('port') ?? 22)];
  const names = { own, node, hostName, user, port };
  const family = first('addressfamily');
  const socket = values.get('identityagent')?.[0] ?? 'SSH_AUTH_SOCK';
  const files = (key: string): string[] =>
    (values.get(key) ?? []).flatMap(splitWords).filter((file) => file !== 'none' && file !== '/dev/null');
  return {
    node,
    hostName,
    port,
    user,
    addressFamily: family === 'inet' || family === 'inet6' ? family : 'any',
    hostKeyAlias: first('hostkeyalias'),
    identityFiles: (values.get('identityfile') ?? [])
      .filter((file) => file !== 'none')
      .map((file) => expand(unquote(file), names)),
    identitiesOnly: first('identitiesonly') === 'yes',
    agentSocket: socket === 'SSH_AUTH_SOCK' ? agent : socket === 'none' ? undefined : agentPath(socket, names),
    knownHostsFiles: [...files('userknownhostsfile'), ...files('globalknownhostsfile')].map((file) =>
      expand(file, names),
    ),
    connectTimeoutMs: /^\d{1,6}$/.test(first('connecttimeout') ?? '')
      ? Number(first('connecttimeout')) * 1000
      : undefined,
  };
}

const unsupported: Readonly<Record<string, string>> = {
  proxyjump: 'ProxyJump',
  proxycommand: 'ProxyCommand',
  revokedhostkeys: 'RevokedHostKeys',
};

function refuseUnsupported(node: string, values: ReadonlyMap<string, readonly string[]>): void {
  for (const [key, name] of Object.entries(unsupported)) {
    const value = values.get(key)?.[0];
    if (value === undefined || value === 'none') continue;
    throw new CxmError('UNSUPPORTED', `ssh_config sets ${name} ${value.slice(0, 80)} for ${node}, which cxm can't do`, {
      hint: `nodes of a cluster reach each other directly; take ${name} off for ${node} in ssh_config`,
    });
  }
}

interface Names {
  readonly own: OwnMachine;
  readonly node: string;
  readonly hostName: string;
  readonly user: string;
  readonly port: number;
}

/** Tokens of ssh_config(5) that make sense in a file's name, and the home directory. */
function expand(path: string, { own, node, hostName, user, port }: Names): string {
  const tokens: Readonly<Record<string, string>> = {
    '%': '%',
    d: own.home,
    h: hostName,
    i: String(own.uid),
    L: own.host.split('.')[0] ?? own.host,
    l: own.host,
    n: node,
    p: String(port),
    r: user,
    u: own.user,
  };
  const expanded = path.replace(/%(.)/g, (whole, token: string) => tokens[token] ?? whole);
  return expanded === '~' || expanded.startsWith('~/') ? own.home + expanded.slice(1) : expanded;
}

/** A socket may also be named by a variable of the environment. */
function agentPath(socket: string, names: Names): string | undefined {
  const variable = /^\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?$/.exec(socket)?.[1];
  return variable === undefined ? expand(socket, names) : process.env[variable];
}

function splitWords(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

function unquote(text: string): string {
  return /^"(.*)"$/.exec(text)?.[1] ?? text;
}
