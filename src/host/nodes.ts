/**
 * The nodes of a cluster as the library reaches them: this one by processes, each other one by a single ssh connection,
 * opened when it is first needed, kept open, opened anew after a loss, and closed at the end; a second one only where
 * something is held. A node that can't be reached is an error of the call that needed it, never of another node.
 */
import { readFile } from 'node:fs/promises';
import { CxmError } from '../errors.ts';
import { isHostName } from '../host-name.ts';
import { localMachine, type Machine } from './hold.ts';
import { parseKnownHosts, type KnownHostLine } from './known-hosts.ts';
import { pathOf } from './remote-command.ts';
import { remoteCommands, type RemoteOptions } from './remote-commands.ts';
import { remoteHold } from './remote-hold.ts';
import { SshConnection, type ConnectionTimes } from './ssh-connection.ts';
import { askSsh } from './ssh-settings.ts';

/** One node, wherever it is. */
export interface NodeAccess {
  readonly name: string;
  readonly isLocal: boolean;
  readonly machine: Machine;
}

export interface NodesOptions {
  /** The node on which we are, by its name in the cluster. */
  readonly localName: string;
  /** Directories in which programs are looked for first, with : between them. */
  readonly path?: string | undefined;
  /** The user as whom other nodes are reached; the one whom ssh would take when left out. */
  readonly user?: string | undefined;
  /** Whether programs on other nodes are run with sudo; for every user but root when left out. */
  readonly useSudo?: boolean | undefined;
  /** What ssh_config says for a node wins; 10 000 ms when left out. */
  readonly connectTimeoutMs?: number | undefined;
  /** A node that leaves `keepaliveCount` of them unanswered is lost; 2000 ms when left out. */
  readonly keepaliveIntervalMs?: number | undefined;
  /** 4 when left out. */
  readonly keepaliveCount?: number | undefined;
  /** Instead of ~/.ssh/config and /etc/ssh/ssh_config: tests, the sandbox. */
  readonly sshConfigFile?: string | undefined;
}

export interface Nodes {
  /** Opens nothing yet. @throws CxmError INVALID_INPUT for what can't be the name of a host */
  node(name: string): NodeAccess;
  /** Ends all connections. Whatever is still run over them fails. */
  close(): void;
}

/** Access to any node of the cluster by its name. */
export function connectNodes(options: NodesOptions): Nodes {
  const local = localNode(options.localName, options.path);
  const remote = new Map<string, RemoteNode>();
  let isClosed = false;
  return {
    node(name) {
      if (isClosed) throw new CxmError('INTERNAL', `${name} is asked for after the connections were closed`);
      if (!isHostName(name)) {
        throw new CxmError('INVALID_INPUT', `${JSON.stringify(name.slice(0, 60))} is no name of a node`);
      }
      if (name === local.name) return local;
      const access = remote.get(name) ?? new RemoteNode(name, options);
      remote.set(name, access);
      return access;
    },
    close() {
      isClosed = true;
      for (const access of remote.values()) access.close();
    },
  };
}

/** This machine. Its PATH gets what system programs need. */
export function localNode(name: string, path?: string): NodeAccess {
  const searched = [path, process.env['PATH']].filter((part) => part !== undefined && part !== '').join(':');
  const env = { PATH: pathOf(searched) };
  const machine: Machine = {
    run: (program, args, options = {}) =>
      localMachine.run(program, args, { ...options, env: { ...env, ...options.env } }),
    hold: localMachine.hold,
  };
  return { name, isLocal: true, machine };
}

class RemoteNode implements NodeAccess {
  readonly isLocal = false;
  readonly machine: Machine;
  private readonly connections: readonly KeptConnection[];

  constructor(
    readonly name: string,
    options: NodesOptions,
  ) {
    // What is held takes a channel for long. On one connection, enough of it would keep those waiting who work under it.
    const [work, holding] = [new KeptConnection(name, options), new KeptConnection(name, options)];
    this.connections = [work, holding];
    const over = (connection: KeptConnection): RemoteOptions => ({
      node: name,
      path: options.path,
      connect: () => connection.connect(),
      useSudo: (user) => options.useSudo ?? user !== 'root',
    });
    this.machine = { run: remoteCommands(over(work)).run, hold: remoteHold(over(holding)) };
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }
}

/** A connection that is there whenever it is needed. */
class KeptConnection {
  /** Open or on its way; undefined when the next call has to open one. */
  private connection: Promise<SshConnection> | undefined;
  private isClosed = false;

  constructor(
    private readonly node: string,
    private readonly options: NodesOptions,
  ) {}

  close(): void {
    this.isClosed = true;
    // Who waits for a connection that can't be made hears of it from his own promise.
    this.connection?.then((connection) => connection.close()).catch(() => undefined);
    this.connection = undefined;
  }

  connect(): Promise<SshConnection> {
    if (this.isClosed) {
      return Promise.reject(new CxmError('INTERNAL', `the connection to ${this.node} was closed before this command`));
    }
    if (this.connection !== undefined) return this.connection;
    const opening = openConnection(this.node, this.options);
    const forget = (): void => {
      if (this.connection === opening) this.connection = undefined;
    };
    this.connection = opening;
    opening.then((connection) => connection.onLost(forget)).catch(forget);
    return opening;
  }
}

async function openConnection(node: string, options: NodesOptions): Promise<SshConnection> {
  const settings = await askSsh({ node, user: options.user, configFile: options.sshConfigFile });
  const times: ConnectionTimes = {
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    keepaliveIntervalMs: options.keepaliveIntervalMs ?? 2000,
    keepaliveCount: options.keepaliveCount ?? 4,
  };
  const knownHosts = await Promise.all(settings.knownHostsFiles.map(readKnownHosts));
  return SshConnection.open(settings, knownHosts.flat(), times);
}

/** A file that is missing knows nobody; one that can't be read might have revoked a key, and stops us. */
async function readKnownHosts(file: string): Promise<KnownHostLine[]> {
  try {
    return parseKnownHosts(await readFile(file, 'utf8'), file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return [];
    const why = error instanceof Error ? error.message : String(error);
    throw new CxmError('HOST_KEY', `the known hosts in ${file} can't be read: ${why}`, {
      hint: `mend ${file}, or run this as a user who may read it`,
      cause: error,
    });
  }
}
