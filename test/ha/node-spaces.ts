/**
 * A machine of its own for each node, as far as this machine's kernel gives one away: a host name, and a network of its own
 * with an address on a bridge that stands for the LAN. Needs root.
 *
 * Guarantees: nothing of it is seen in this machine's own network, and nothing is left when this process has ended, however
 * it has ended: the spaces live as long as a program in each of them, and that one reads a pipe from here.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import * as fs from 'node:fs';

const network = '10.78.0';

/** Gives the space its name, and keeps it until its input ends. */
const keeper = 'hostname "$1" && ip link set lo up && echo ready && exec cat >/dev/null';

interface Space {
  readonly keeper: ChildProcess;
  readonly processId: number;
}

export class NodeSpaces {
  private constructor(
    private readonly lan: Space,
    private readonly spaces: ReadonlyMap<string, Space>,
  ) {}

  /** @throws Error when the kernel or a missing right forbids it */
  static async open(nodes: readonly string[]): Promise<NodeSpaces> {
    const lan = await openSpace('lan');
    const spaces = new Map<string, Space>();
    const opened = new NodeSpaces(lan, spaces);
    try {
      ip(lan, 'link', 'add', 'lan', 'type', 'bridge');
      ip(lan, 'link', 'set', 'lan', 'up');
      for (const [index, node] of nodes.entries()) {
        const space = await openSpace(node);
        spaces.set(node, space);
        const port = `port${index + 1}`;
        ip(lan, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'lan0', 'netns', String(space.processId));
        ip(lan, 'link', 'set', port, 'master', 'lan', 'up');
        ip(space, 'address', 'add', `${addressOf(index)}/24`, 'dev', 'lan0');
        ip(space, 'link', 'set', 'lan0', 'up');
      }
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  address(node: string): string {
    return addressOf([...this.spaces.keys()].indexOf(node));
  }

  /** A command line that runs another one as on that node; its process ends with ours. */
  inside(node: string, words: readonly string[]): readonly string[] {
    return ['setpriv', '--pdeathsig', 'KILL', ...enter(this.space(node)), ...words];
  }

  /** The node's own end of its cable to the LAN. */
  setLink(node: string, isUp: boolean): void {
    ip(this.space(node), 'link', 'set', 'lan0', isUp ? 'up' : 'down');
  }

  /** Numbers of the processes that run on the node, but for the one that keeps its space. */
  processesOn(node: string): readonly number[] {
    const { processId } = this.space(node);
    const own = nameSpaceOf(processId);
    return fs
      .readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((other) => other !== processId && own !== undefined && nameSpaceOf(other) === own);
  }

  close(): void {
    for (const { keeper: program } of [this.lan, ...this.spaces.values()]) program.stdin?.end();
  }

  private space(node: string): Space {
    const space = this.spaces.get(node);
    if (space === undefined) throw new Error(`there is no node ${node}`);
    return space;
  }
}

function addressOf(index: number): string {
  return `${network}.${index + 1}`;
}

function enter({ processId }: Space): readonly string[] {
  return ['nsenter', '--target', String(processId), '--net', '--uts', '--'];
}

function ip(space: Space, ...words: readonly string[]): void {
  const [program = '', ...args] = [...enter(space), 'ip', ...words];
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Undefined for a process that has ended. */
function nameSpaceOf(processId: number): string | undefined {
  try {
    return fs.readlinkSync(`/proc/${processId}/ns/uts`);
  } catch {
    return undefined;
  }
}

function openSpace(name: string): Promise<Space> {
  const program = spawn('unshare', ['--net', '--uts', 'sh', '-c', keeper, 'sh', name], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let complaint = '';
  program.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  return new Promise((resolve, reject) => {
    program.on('error', reject);
    program.on('exit', () => reject(new Error(`no network of its own for ${name}: ${complaint.trim()}`)));
    program.stdout.once('data', () => resolve({ keeper: program, processId: program.pid ?? 0 }));
  });
}
