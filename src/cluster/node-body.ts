/**
 * The real body of a node: programs, run here or over the kept-open connection to it. Both are the same `Machine`, so a
 * node never knows which of the two it is.
 */
import { randomBytes } from 'node:crypto';
import { CxmError } from '../errors.ts';
import { commandFailed, type Commands } from '../host/commands.ts';
import type { Machine } from '../host/hold.ts';
import { takeInventory } from '../lvm/inventory.ts';
import { LvmVolumes } from '../lvm/lvm.ts';
import { Xl } from '../xen/xl.ts';
import { lockName } from './lock-name.ts';
import type { ClusterNode, NodeLock, NodeSystem } from './node.ts';
import { CommandNodeFiles } from './node-files.ts';
import { commandMoves } from './node-moves.ts';

export interface NodePaths {
  /** VMCONF_DIR. */
  readonly configDirectory: string;
  readonly autostartDirectory: string;
  /** Where locks are, on a file system of the node's own. */
  readonly runDirectory: string;
}

export interface NodeHabits {
  /** Volumes that are active already are loaded anew from LVM's metadata when they are activated. */
  readonly refreshesVolumes: boolean;
}

export function commandNode(
  name: string,
  machine: Machine,
  paths: NodePaths,
  { refreshesVolumes }: NodeHabits = { refreshesVolumes: true },
): ClusterNode {
  /** Of the locks this process holds here, the latest of each VM. */
  const tokens = new Map<string, string>();
  const body = (commands: Commands): Pick<ClusterNode, 'toolstack' | 'files' | 'volumes' | 'moves'> => ({
    toolstack: new Xl(commands),
    files: new CommandNodeFiles(commands, paths.configDirectory, paths.autostartDirectory),
    volumes: (group) => new LvmVolumes(commands, group, refreshesVolumes),
    moves: commandMoves(commands, paths.runDirectory),
  });
  const node: ClusterNode = {
    ...body(machine),
    name,
    system: linuxSystem(machine),
    programs: machine,
    inventory: () => takeInventory(machine),
    async lock(vm, waitMs) {
      const token = randomBytes(16).toString('hex');
      const lock = await takeLock(name, machine, { directory: paths.runDirectory, vm, token, waitMs });
      tokens.set(vm, token);
      return lock;
    },
    async holders(vm) {
      const path = `${paths.runDirectory}/${lockName(vm)}.token`;
      const { stdout } = await machine.run('cat', ['--', path], { okExitCodes: [0, 1] });
      const [latest = '', former = ''] = stdout.split('\n');
      return { latest, former };
    },
    under(vm) {
      const token = tokens.get(vm);
      if (token === undefined) throw new CxmError('INTERNAL', `the lock of ${vm} on ${name} was never taken`);
      return { ...node, ...body(keepingBusy(machine, `${paths.runDirectory}/${lockName(vm)}`, token)) };
    },
  };
  return node;
}

/**
 * $1 directory, $2 name, $3 seconds, $4 token. First the lock itself, then the wait for programs that an earlier cxm has left
 * running, then the token: what that cxm had asked for and what begins only now finds another one than its own. The token
 * before it follows on the second line.
 */
const lockScript = `mkdir -p -m 0711 -- "$1" && exec 8>"$1/$2.lock" 9>"$1/$2.busy" || exit 1
flock -x -w "$3" 8 || exit 75
flock -x -w "$3" 9 || exit 75
former=
{ read -r former <"$1/$2.token"; } 2>/dev/null
printf '%s\\n' "$4" "$former" >"$1/$2.token" || exit 1
exec 9>&- && echo held && exec cat >/dev/null`;

interface Wish {
  readonly directory: string;
  readonly vm: string;
  readonly token: string;
  readonly waitMs: number;
}

async function takeLock(node: string, machine: Machine, { directory, vm, token, waitMs }: Wish): Promise<NodeLock> {
  const seconds = String(Math.max(1, Math.ceil(waitMs / 1000)));
  const args = ['-c', lockScript, 'sh', directory, lockName(vm), seconds, token];
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

/** The file with the token of whoever took the VM's lock on this node last. */
export function lockToken(directory: string, vm: string): string {
  return `${directory}/${lockName(vm)}.token`;
}

/**
 * $1 lock without its suffix, $2 token, the rest a program and its arguments. The program is in a session of its own and
 * writes to files that nobody can close before its time: neither a signal, a terminal's or a deadline's, nor a lost
 * connection ends an xl in its work. All these end the waiting shell only, while flock goes on holding the lock.
 */
const busyScript = `lock=$1 token=$2; shift 2
out=$(mktemp "$lock.XXXXXXXXXX") && err=$(mktemp "$lock.XXXXXXXXXX") || exit 1
exec 3>"$out" 4<"$out" 5>"$err" 6<"$err" && rm -f -- "$out" "$err" || exit 1
setsid flock --shared --close "$lock.busy" sh -c '
{ read -r found <"$1.token"; } 2>/dev/null
[ "$found" = "$2" ] || { echo "cxm: the lock is lost, and nothing was done" >&2; exit 75; }
shift 2
exec "$@"' sh "$lock" "$token" "$@" </dev/null >&3 2>&5 3>&- 4<&- 5>&- 6<&- &
wait $!
code=$?
cat <&4
cat <&6 >&2
exit $code`;

/**
 * Programs that keep the VM busy until they have ended. flock itself holds the lock, not what it runs: the monitor that xl
 * leaves behind for each domain lives as long as that.
 */
function keepingBusy(commands: Commands, lock: string, token: string): Commands {
  const prefix = ['-c', busyScript, 'sh', lock, token];
  return {
    async run(program, args, options) {
      if (options?.input !== undefined || options?.env !== undefined) {
        throw new CxmError('INTERNAL', `${program} can't be given input or environment while it keeps a VM busy`);
      }
      const result = await commands.run('sh', [...prefix, program, ...args], { ...options, okExitCodes: 'any' });
      if (result.exitCode === lostExitCode && result.stderr.startsWith('cxm: the lock is lost')) {
        throw new CxmError('INTERRUPTED', `another cxm has taken the lock: ${program} was not run`);
      }
      const ok = options?.okExitCodes ?? [0];
      if (ok === 'any' || ok.includes(result.exitCode)) return result;
      throw commandFailed(program, args, result);
    },
  };
}

const lostExitCode = 75;

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
      // Through a shell, which tells a ping that is missing (127) from one that can't resolve a name. The ping itself ends
      // after a second; what takes longer is a resolver that asks servers which are silent (124 from timeout).
      const words = ['-c', 'exec timeout 8 ping -n -q -c 1 -W 1 "$1"', 'sh', host];
      const { exitCode } = await commands.run('sh', words, { okExitCodes: 'any', timeoutMs: 20_000 });
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
