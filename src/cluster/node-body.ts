/**
 * The real body of a node: programs, run here or over the kept-open connection to it. Both are the same `Machine`, so a
 * node never knows which of the two it is.
 */
import { CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import type { Machine } from '../host/hold.ts';
import { takeInventory } from '../lvm/inventory.ts';
import { LvmVolumes } from '../lvm/lvm.ts';
import { Xl } from '../xen/xl.ts';
import type { ClusterNode, NodeLock, NodeSystem } from './node.ts';
import { checkedName, CommandNodeFiles } from './node-files.ts';

export interface NodePaths {
  /** VMCONF_DIR. */
  readonly configDirectory: string;
  readonly autostartDirectory: string;
  /** Where locks are, on a file system of the node's own. */
  readonly runDirectory: string;
}

export function commandNode(name: string, machine: Machine, paths: NodePaths): ClusterNode {
  const body = {
    name,
    files: new CommandNodeFiles(machine, paths.configDirectory, paths.autostartDirectory),
    system: linuxSystem(machine),
    programs: machine,
    inventory: () => takeInventory(machine),
    volumes: (group: string) => new LvmVolumes(machine, group),
    lock: (vm: string, waitMs: number) => takeLock(name, machine, paths.runDirectory, vm, waitMs),
  };
  const node: ClusterNode = {
    ...body,
    toolstack: new Xl(machine),
    under: (vm) => ({ ...node, toolstack: new Xl(keepingBusy(machine, paths.runDirectory, vm)) }),
  };
  return node;
}

/**
 * $1 directory, $2 name, $3 seconds. First the lock itself, then the wait for programs that an earlier cxm has left running.
 */
const lockScript = `mkdir -p -m 0711 -- "$1" && exec 8>"$1/$2.lock" 9>"$1/$2.busy" || exit 1
flock -x -w "$3" 8 || exit 75
flock -x -w "$3" 9 || exit 75
exec 9>&- && echo held && exec cat >/dev/null`;

async function takeLock(
  node: string,
  machine: Machine,
  directory: string,
  vm: string,
  waitMs: number,
): Promise<NodeLock> {
  const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
  const args = ['-c', lockScript, 'sh', directory, lockName(vm), seconds];
  const held = await machine.hold('sh', args, 2 * waitMs + 15_000);
  if (held === undefined) {
    throw new CxmError('IN_USE', `another cxm works on ${vm} and has not ended within ${seconds} s (lock on ${node})`, {
      hint: 'wait for it; `fuser` on the lock tells who it is',
    });
  }
  return {
    get held() {
      return held.running;
    },
    release: () => held.release(),
  };
}

function lockName(vm: string): string {
  return `vm-${checkedName(vm)}`;
}

/**
 * Programs that keep the VM busy until they have ended. flock itself holds the lock, not what it runs: the monitor that xl
 * leaves behind for each domain lives as long as that.
 */
function keepingBusy(commands: Commands, directory: string, vm: string): Commands {
  const prefix = ['--shared', '--close', `${directory}/${lockName(vm)}.busy`];
  return { run: (program, args, options) => commands.run('flock', [...prefix, program, ...args], options) };
}

/** $1 the program, the rest its arguments. */
const detachScript = `command -v -- "$1" >/dev/null || { echo "$1 is missing or may not be run" >&2; exit 127; }
exec setsid -f sh -c '"$@" </dev/null 2>&1 | logger -t cxm-hook' sh "$@" </dev/null >/dev/null 2>&1`;

const bridgeTests = ['-mindepth', '2', '-maxdepth', '2', '-type', 'd', '-name', 'bridge', '-printf', '%h\\n'];

function linuxSystem(commands: Commands): NodeSystem {
  return {
    async bridges() {
      const [linux, openVswitch] = await Promise.all([
        commands.run('find', ['-L', '/sys/class/net', ...bridgeTests], { okExitCodes: 'any' }),
        commands.run('sh', ['-c', 'command -v ovs-vsctl >/dev/null || exit 0; exec ovs-vsctl list-br'], {
          okExitCodes: 'any',
        }),
      ]);
      const names = linux.stdout.split('\n').map((path) => path.slice(path.lastIndexOf('/') + 1));
      return [...new Set([...names, ...openVswitch.stdout.split('\n')])].filter((name) => name !== '').sort();
    },
    async cpuFlags() {
      const { stdout } = await commands.run('grep', ['-m', '1', '^flags', '/proc/cpuinfo'], { okExitCodes: [0, 1] });
      return stdout
        .slice(stdout.indexOf(':') + 1)
        .split(/\s+/)
        .filter((flag) => flag !== '')
        .sort();
    },
    async dynamicIrqs() {
      const { stdout } = await commands.run('grep', ['-c', 'xen-dyn', '/proc/interrupts'], { okExitCodes: [0, 1] });
      return Number(stdout.trim()) || 0;
    },
    async ping(host) {
      if (!/^[A-Za-z0-9][A-Za-z0-9.:-]*$/.test(host)) return 'unknown-name';
      const options = { okExitCodes: 'any', timeoutMs: 10_000 } as const;
      // Through a shell, which tells a ping that is missing (127) from one that can't resolve a name.
      const words = ['-c', 'exec ping -n -q -c 1 -W 1 "$1"', 'sh', host];
      const { exitCode } = await commands.run('sh', words, options);
      return exitCode === 0 ? 'answer' : exitCode === 1 ? 'silence' : 'unknown-name';
    },
    async reach(node) {
      const args = ['-o', 'BatchMode=yes', '-o', 'ConnectTimeout=5', '--', node, 'true'];
      const { exitCode, stderr } = await commands.run('ssh', args, { okExitCodes: 'any', timeoutMs: 15_000 });
      if (exitCode === 0) return;
      const said = stderr.trim().split('\n').at(-1) ?? '';
      throw new CxmError('HOST_UNREACHABLE', `ssh ended with exit code ${exitCode}: ${said}`);
    },
    async startDetached(program, args) {
      await commands.run('sh', ['-c', detachScript, 'sh', program, ...args], { timeoutMs: 15_000 });
    },
  };
}
