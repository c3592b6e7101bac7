/**
 * What `cxm doctor` knows of a node: facts gathered by one script, what the node can't say being undefined, never a guess.
 * Beside it which other nodes it reaches by ssh, and how far its clock is off. Only looks; changes nothing.
 */
import { createHash } from 'node:crypto';
import { asCxmError, type CxmError } from '../errors.ts';
import { parseHostInfo, type HostInfo } from '../xen/domain-list.ts';
import { parseVolumeGroups, volumeGroupFields, type VolumeGroupInfo } from '../lvm/report.ts';
import { askNodes, type SilentNode } from './cluster.ts';
import { partFunction, runParts, type Part, type Parts } from './metrics-parts.ts';
import type { ClusterNode } from './node.ts';
import type { VmConfig } from './node-files.ts';

/** Programs that cxm runs on nodes. */
export const neededTools = [
  'flock',
  'find',
  'ping',
  'setsid',
  'logger',
  'ssh',
  'timeout',
  'xl',
  'xentop',
  'vgs',
  'lvs',
  'lvchange',
  'dmsetup',
];

export interface NodeFacts {
  readonly node: string;
  /** Whom programs run as there. */
  readonly userId: number | undefined;
  /** cxm.conf: its fingerprint and text; undefined when there is none. */
  readonly configuration: { readonly fingerprint: string; readonly text: string } | undefined;
  readonly missingTools: readonly string[];
  /** What xl says, or why it says nothing. */
  readonly toolstack: HostInfo | CxmError;
  readonly bootedWithXen: boolean;
  readonly groups: readonly VolumeGroupInfo[] | CxmError;
  /** Settings of LVM by their name, those without a value left out; undefined when LVM doesn't say them. */
  readonly lvmSettings: ReadonlyMap<string, string> | undefined;
  /** Volume groups that are never activated by themselves, as LVM keeps it in the group. */
  readonly groupsWithoutAutoactivation: readonly string[];
  /** Init scripts that start or migrate guests by themselves: where they are enabled. */
  readonly xendomains: readonly string[];
  /** When its sshd gives a silent client up; undefined when it doesn't say. */
  readonly sshd: SshdAlive | undefined;
  readonly bridges: readonly string[];
  readonly cxmVersion: string | undefined;
  readonly nodeVersion: string | undefined;
  /** Of FENCE_CMD and FENCE_STATUS_CMD. */
  readonly missingFencePrograms: readonly string[];
  readonly hasWatchdog: boolean;
  readonly configs: readonly VmConfig[] | CxmError;
  /** How far its clock is at least from the one of this machine; the time of the question is no difference. */
  readonly clockOffsetMs: number | undefined;
  /** Each other node, and why it can't be reached. */
  readonly reach: readonly { readonly to: string; readonly error: CxmError | undefined }[];
}

/** ClientAliveInterval and ClientAliveCountMax of sshd_config; 0 in either means never. */
export interface SshdAlive {
  readonly intervalSeconds: number;
  readonly count: number;
}

export interface ClusterFacts {
  readonly nodes: readonly NodeFacts[];
  readonly silent: readonly SilentNode[];
}

export interface DoctorRequest {
  readonly nodes: readonly ClusterNode[];
  readonly configurationPath: string;
  /** FENCE_CMD and, where there is one, FENCE_STATUS_CMD. */
  readonly fencePrograms: readonly string[];
  /** The time of day in milliseconds. */
  today(): number;
}

export async function gatherFacts(request: DoctorRequest): Promise<ClusterFacts> {
  const { answers, silent } = await askNodes(request.nodes, (node) => examine(node, request));
  return { nodes: answers.map(({ value }) => value), silent };
}

const timeoutMs = 90_000;

/** $2 path of cxm.conf, $3 and $4 the fence programs or nothing, the rest needed programs. */
const factsScript = `${partFunction}
conf=$2 fence=$3 status=$4
shift 4
missing() { for tool; do command -v -- "$tool" >/dev/null 2>&1 || echo "$tool"; done; }
xendomains() {
  if command -v systemctl >/dev/null && systemctl is-enabled --quiet xendomains.service 2>/dev/null; then
    echo "systemd's xendomains.service"
  fi
  for link in /etc/rc[2345].d/S*xendomains; do if [ -e "$link" ]; then echo "$link"; fi; done
}
sshd_settings() {
  for sshd in "$(command -v sshd)" /usr/sbin/sshd /usr/local/sbin/sshd; do
    if [ -x "$sshd" ]; then timeout 20 "$sshd" -T; return; fi
  done
  return 127
}
hypervisor() { [ "$(cat /sys/hypervisor/type 2>/dev/null)" = xen ] || [ -e /proc/xen/capabilities ]; }
watchdog() { for device in /dev/watchdog*; do if [ -e "$device" ]; then return 0; fi; done; return 1; }
part user id -u
part tools missing "$@"
part conf cat -- "$conf"
part hypervisor hypervisor
part xl timeout 20 xl info
part groups timeout 30 vgs --reportformat json --units b --nosuffix -o ${volumeGroupFields}
part settings timeout 20 lvmconfig --typeconfig full
part autoactivation timeout 30 vgs --noheadings -o vg_name --select vg_autoactivation=0
part xendomains xendomains
part sshd sshd_settings
part cxm cxm --version
part node node --version
part fence missing \${fence:+"$fence"} \${status:+"$status"}
part watchdog watchdog
exit 0`;

async function examine(node: ClusterNode, request: DoctorRequest): Promise<NodeFacts> {
  const [fence = '', status = ''] = request.fencePrograms;
  const args = [request.configurationPath, fence, status, ...neededTools];
  const parts = await runParts(node.programs, factsScript, args, timeoutMs);
  const others = request.nodes.filter(({ name }) => name !== node.name);
  const [bridges, configs, clockOffsetMs, reach] = await Promise.all([
    node.system.bridges().catch(() => []),
    node.files.readConfigs().catch((error: unknown) => asCxmError(error)),
    clockOffset(node, request).catch(() => undefined),
    Promise.all(others.map(async ({ name }) => ({ to: name, error: await reachError(node, name) }))),
  ]);
  const text = textOf(parts, 'conf');
  return {
    node: node.name,
    userId: numberOf(textOf(parts, 'user')),
    configuration: text === undefined ? undefined : { text, fingerprint: fingerprintOf(text) },
    missingTools: linesOf(textOf(parts, 'tools')),
    toolstack: parsed(parts, 'xl', parseHostInfo),
    bootedWithXen: parts.get('hypervisor')?.exitCode === 0,
    groups: parsed(parts, 'groups', parseVolumeGroups),
    lvmSettings: parts.get('settings')?.exitCode === 0 ? parseLvmSettings(textOf(parts, 'settings') ?? '') : undefined,
    groupsWithoutAutoactivation: linesOf(textOf(parts, 'autoactivation')),
    xendomains: linesOf(textOf(parts, 'xendomains')),
    sshd: parseSshdAlive(textOf(parts, 'sshd') ?? ''),
    bridges,
    cxmVersion: linesOf(textOf(parts, 'cxm')).at(0)?.replace(/^cxm /, ''),
    nodeVersion: linesOf(textOf(parts, 'node')).at(0),
    missingFencePrograms: linesOf(textOf(parts, 'fence')),
    hasWatchdog: parts.get('watchdog')?.exitCode === 0,
    configs,
    clockOffsetMs,
    reach,
  };
}

async function reachError(node: ClusterNode, to: string): Promise<CxmError | undefined> {
  try {
    await node.system.reach(to);
    return undefined;
  } catch (error) {
    return asCxmError(error);
  }
}

/** The time there was taken at some moment between two here: only what is outside of these is a difference. */
async function clockOffset(node: ClusterNode, { today }: DoctorRequest): Promise<number | undefined> {
  const before = today();
  const { stdout } = await node.programs.run('date', ['+%s.%N'], { timeoutMs: 20_000 });
  const after = today();
  const there = Number(stdout.trim() || 'x') * 1000;
  if (!Number.isFinite(there)) return undefined;
  return there < before ? there - before : there > after ? there - after : 0;
}

/** The settings that are set, from `lvmconfig --typeconfig full`: sections with `name=value` lines; some have a `#`. */
export function parseLvmSettings(text: string): ReadonlyMap<string, string> {
  const settings = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^\s*([a-z0-9_]+)\s*=\s*(.*)$/.exec(line);
    if (match?.[1] !== undefined) settings.set(match[1], (match[2] ?? '').trim());
  }
  return settings;
}

/** From `sshd -T`, which prints the settings in force, one a line. */
export function parseSshdAlive(text: string): SshdAlive | undefined {
  const setting = (name: string): number | undefined => numberOf(new RegExp(`^${name} (.*)$`, 'im').exec(text)?.[1]);
  const [intervalSeconds, count] = [setting('clientaliveinterval'), setting('clientalivecountmax')];
  return intervalSeconds === undefined || count === undefined ? undefined : { intervalSeconds, count };
}

function textOf(parts: Parts, name: string): string | undefined {
  const part = parts.get(name);
  return part?.exitCode === 0 ? part.stdout : undefined;
}

function parsed<T>(parts: Parts, name: string, parse: (text: string) => T): T | CxmError {
  const part = parts.get(name);
  try {
    if (part?.exitCode === 0) return parse(part.stdout);
    throw new Error(complaintOf(part));
  } catch (error) {
    return asCxmError(error);
  }
}

function complaintOf(part: Part | undefined): string {
  if (part === undefined) return 'it was not asked';
  if (part.exitCode === 127) return 'the program is missing';
  if (part.exitCode === 124) return 'it did not answer in time';
  // LVM warns of much that is no reason.
  const reasons = linesOf(part.stderr).filter((line) => !/^(?:WARNING|File descriptor \d+ )/.test(line));
  return reasons.at(0) ?? `it ended with exit code ${part.exitCode}`;
}

function linesOf(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function numberOf(text: string | undefined): number | undefined {
  const match = /^\d+$/.exec((text ?? '').trim());
  return match === null ? undefined : Number(match[0]);
}

function fingerprintOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
