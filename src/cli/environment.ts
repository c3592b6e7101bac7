/**
 * What the command line has around it: the machine it was called on, the cluster, the terminal and whoever sits there. The
 * program has a real one (main.ts); the sandbox and the tests have theirs. Nothing of cxm reaches the outside but by this.
 */
import type { CxmConfFile } from '../config/cxm-conf-file.ts';
import type { Cluster, Reporter } from '../cluster/cluster.ts';
import type { Commands } from '../host/commands.ts';
import type { DaemonLink } from './daemon.ts';
import type { LiveTerminal } from './top.ts';

export interface OpenRequest {
  /** Only these nodes; all of the configuration when left out. */
  readonly nodes?: readonly string[];
  /** False for who only looks: nodes that cxmd calls off are left out then without a look whether they are. */
  readonly changes: boolean;
  /** False: volumes that are active already are not refreshed when they are activated; as NOREFRESH. */
  readonly refresh: boolean;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

export interface OpenedCluster {
  readonly cluster: Cluster;
  close(): Promise<void>;
}

/** How this node stands to the cluster; without cxmd the configuration is all that is known. */
export interface Membership {
  readonly isMember: boolean;
  readonly state: 'normal' | 'recovery' | 'panic';
  /** Who says so, for the warning: `cxmd` or `cxm.conf`. */
  readonly source: string;
}

export interface CliStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
  /** Calls back when nobody reads any more. */
  on?(event: 'error', callback: () => void): unknown;
}

export interface CliTerminal {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface CliEnvironment {
  /** The name that the cluster has for this machine; its host name if it has none. */
  readonly localName: string;
  readonly terminal: CliTerminal;
  /** Programs of this machine. */
  readonly commands: Commands;
  /** @throws CxmError CONFIG */
  configuration(): CxmConfFile;
  /** @throws CxmError CONFIG, NOT_FOUND for a node that is none */
  open(request: OpenRequest): Promise<OpenedCluster>;
  membership(): Promise<Membership>;
  /** cxmd of this node; undefined where none answers. */
  daemon(): Promise<DaemonLink | undefined>;
  /** One line of an answer; undefined when nobody can give one. */
  ask(question: string): Promise<string | undefined>;
  /** Connects this terminal with the console of a domain of this machine, until the user leaves it. */
  attachConsole(domainId: number): Promise<number>;
  /** The terminal with its keys, for a screen; undefined when there is none. */
  liveTerminal?(): LiveTerminal | undefined;
  /** Calls back at Ctrl-C and when the terminal goes; returns what ends that. */
  onInterrupt(callback: () => void): () => void;
}
