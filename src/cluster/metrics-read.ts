/**
 * One reading of a node: the domains with their CPU time and counters, its memory, and what its kernel counts, by one
 * program run. The parts are together true or nothing, as a silent node; only xentop's counters and LVM's devices may be
 * missing, because without these all the rest still stands. Nothing is held or changed.
 */
import { CxmError } from '../errors.ts';
import { parseDomainList, parseHostInfo, type DomainRow, type HostInfo } from '../xen/domain-list.ts';
import { toolstackError } from '../xen/toolstack-error.ts';
import { parseXentop, type DomainUsage } from '../xen/xentop.ts';
import { askNodes, type SilentNode } from './cluster.ts';
import { partFunction, runParts, type Part, type Parts } from './metrics-parts.ts';
import type { ClusterNode } from './node.ts';
import {
  parseDiskstats,
  parseNetworkInterfaces,
  parsePhysicalVolumes,
  parseVlans,
  physicalVolumeFields,
  type BlockDevice,
  type NetworkInterface,
  type PhysicalVolume,
} from './metrics-counters.ts';

/** A node as far as it is asked for readings. */
export type MeasuredNode = Pick<ClusterNode, 'name' | 'programs'>;

export interface ReadingParts {
  /** What the domains have sent, received, read and written. */
  readonly usage: boolean;
  /** Which devices LVM's groups are on. LVM reads its disks for that: once a minute is enough. */
  readonly physicalVolumes: boolean;
}

export interface NodeReading {
  readonly node: string;
  /** Tells one start of the node from the next: counters begin anew. */
  readonly bootId: string;
  /** The node's own clock, which nobody sets: seconds since it started. */
  readonly uptimeSeconds: number;
  readonly info: HostInfo;
  readonly rows: readonly DomainRow[];
  /** Interrupts that Xen's event channels take; guests take some each. */
  readonly dynamicIrqs: number;
  /** Undefined when it was not asked for, or xentop did not say it. */
  readonly usage: readonly DomainUsage[] | undefined;
  readonly blockDevices: readonly BlockDevice[];
  readonly interfaces: readonly NetworkInterface[];
  readonly bridges: readonly string[];
  readonly vlans: readonly string[];
  /** Undefined when they were not asked for, or LVM did not say them. */
  readonly physicalVolumes: readonly PhysicalVolume[] | undefined;
}

export interface ClusterReading {
  readonly readings: readonly NodeReading[];
  readonly silent: readonly SilentNode[];
}

const timeoutMs = 45_000;

/**
 * $1 mark, $2 1 for the domains' counters, $3 1 for physical volumes, $4 where /proc and /sys are. The moment is taken next
 * to the domains' CPU time.
 */
const readingScript = `${partFunction}
root=$4
bridges() {
  for path in "$root"/sys/class/net/*/bridge; do
    [ -d "$path" ] || continue
    path=\${path%/bridge}
    echo "\${path##*/}"
  done
  if command -v ovs-vsctl >/dev/null; then ovs-vsctl --timeout=5 list-br || true; fi
}
vlans() { if [ -e "$root/proc/net/vlan/config" ]; then cat "$root/proc/net/vlan/config"; fi; }
irqs() { grep -c -e xen-dyn -e Dynamic-irq "$root/proc/interrupts"; [ $? -lt 2 ]; }
part info timeout 15 xl info
part list timeout 15 xl list -v
part uptime cat "$root/proc/uptime"
part boot cat "$root/proc/sys/kernel/random/boot_id"
part diskstats cat "$root/proc/diskstats"
part interfaces cat "$root/proc/net/dev"
if [ "$2" = 1 ]; then part usage timeout 10 xentop -b -f -i 1; fi
part irqs irqs
part bridges bridges
part vlans vlans
if [ "$3" = 1 ]; then part volumes timeout 15 pvs --reportformat json -o ${physicalVolumeFields}; fi
exit 0`;

/**
 * @param root where /proc and /sys are; for tests
 * @throws CxmError XEN, COMMAND, TIMEOUT, IO, and what the connection to the node throws
 */
export async function readNode(node: MeasuredNode, asked: ReadingParts, root = ''): Promise<NodeReading> {
  const flag = (wanted: boolean): string => (wanted ? '1' : '0');
  const args = [flag(asked.usage), flag(asked.physicalVolumes), root];
  const parts = await runParts(node.programs, readingScript, args, timeoutMs);
  return {
    node: node.name,
    bootId: must(parts, 'boot').trim(),
    uptimeSeconds: parseUptime(must(parts, 'uptime')),
    info: parseHostInfo(must(parts, 'info')),
    rows: parseDomainList(must(parts, 'list')),
    dynamicIrqs: Number(must(parts, 'irqs').trim()),
    usage: valueOf(parts.get('usage'), (text) => parseXentop(text).at(-1)),
    blockDevices: parseDiskstats(must(parts, 'diskstats')),
    interfaces: parseNetworkInterfaces(must(parts, 'interfaces')),
    bridges: namesOf(must(parts, 'bridges')),
    vlans: parseVlans(must(parts, 'vlans')),
    physicalVolumes: valueOf(parts.get('volumes'), parsePhysicalVolumes),
  };
}

/** Reads all nodes at the same time; a node that can't be read is named. */
export async function readNodes(nodes: readonly MeasuredNode[], asked: ReadingParts): Promise<ClusterReading> {
  const { answers, silent } = await askNodes(nodes, (node) => readNode(node, asked));
  return { readings: answers.map(({ value }) => value), silent };
}

const programs: Readonly<Record<string, string>> = {
  info: 'xl info',
  list: 'xl list',
};

/** @throws CxmError when the part has failed */
function must(parts: Parts, name: string): string {
  const part = parts.get(name);
  if (part?.exitCode === 0) return part.stdout;
  const program = programs[name] ?? `reading the ${name}`;
  if (part === undefined) throw new CxmError('COMMAND', `${program} was not run`);
  const { stdout, stderr, exitCode } = part;
  if (exitCode === 124) throw new CxmError('TIMEOUT', `${program} did not end in time`);
  if (exitCode === 127) {
    throw new CxmError('COMMAND', `${program.split(' ', 1)[0] ?? program} is missing`, {
      hint: 'install it, or leave the machine out: it can be no node of a Xen cluster',
    });
  }
  if (program.startsWith('xl ')) throw toolstackError(program, exitCode, stderr.trim() || stdout, 'nothing');
  throw new CxmError('COMMAND', `${program} ended with exit code ${exitCode}: ${stderr.trim().slice(0, 300)}`);
}

/** Of a part that may be missing. */
function valueOf<T>(part: Part | undefined, parse: (text: string) => T): T | undefined {
  if (part?.exitCode !== 0) return undefined;
  try {
    return parse(part.stdout);
  } catch {
    return undefined;
  }
}

function parseUptime(text: string): number {
  const seconds = Number(text.trim().split(' ', 1)[0] || 'x');
  if (Number.isFinite(seconds)) return seconds;
  throw new CxmError('IO', '/proc/uptime does not say how long the node is up');
}

function namesOf(text: string): readonly string[] {
  const names = text.split('\n').map((name) => name.trim());
  return [...new Set(names.filter((name) => name !== ''))].sort();
}
