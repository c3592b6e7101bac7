/**
 * The lab as tests see it: programs on the frontend as oned would start them, shell text on the nodes as root, faults,
 * prepared OpenNebula documents, and what is found on a node afterwards. The machines are real (layout.ts, machines.ts);
 * nothing here pretends. Tests run one after the other and share the machines: start with `await lab.reset()`.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  datastores,
  labKind,
  labVariable,
  nodeNames,
  oneadmin,
  sshConfig,
  startedNodes,
  volumeGroup,
  type NodeName,
} from './layout.ts';
import { mountDatastore } from '../xen-lab/layout.ts';
import { isRunning } from './node-process.ts';
import { contNode, cutNode, healNode, killNode, startNode, stopNode } from './nodes.ts';
import { ShellStream } from '../support/shell-stream.ts';

if (process.env[labVariable] === undefined) {
  throw new Error('this runs inside the lab only: `npm test -- lab`, or see test/lab/up.ts');
}

export interface RunOptions {
  /** Standard input; empty when left out. */
  readonly input?: string | Uint8Array;
  /** Frontend only: added to oned's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The process group is killed after this time; 120 000 ms when left out. */
  readonly timeoutMs?: number;
  /** `'any'`: a failure is an answer too. When left out, `lab.node` throws on any exit code but 0. */
  readonly okExitCodes?: 'any';
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  /** 128 + signal for a program that a signal ended, as shells say it. */
  readonly exitCode: number;
}

/** A program that runs. */
export interface Running {
  readonly result: Promise<RunResult>;
  /** Signals the whole process group, as oned's driver does to an action. */
  kill(signal: NodeJS.Signals): void;
}

export interface LogicalVolume {
  readonly name: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  /** Active on the node that was asked. */
  readonly active: boolean;
  /** Opened there: mounted, attached to a domain, being read. */
  readonly open: boolean;
}

/** What an action may leave on a node; compare before and after. */
export interface Traces {
  readonly logicalVolumes: readonly string[];
  /** Names of the device mapper's devices, also stale ones that LVM knows nothing of. */
  readonly devices: readonly string[];
  /** Mount points with source and file system type. */
  readonly mounts: readonly string[];
  readonly loopDevices: readonly string[];
  /** Entries of /tmp, /var/tmp, /var/lib/one and the system datastores, two levels deep. */
  readonly files: readonly string[];
  /** Command lines of our helper and of the tools it starts. */
  readonly processes: readonly string[];
}

/** oned's environment without anything optional, as recorded from OpenNebula 3.8 and 7. */
const onedEnvironment = {
  HOME: oneadmin.home,
  LANG: 'C.UTF-8',
  LOGNAME: oneadmin.name,
  PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
  USER: oneadmin.name,
} as const;

const oned = { uid: oneadmin.uid, gid: oneadmin.gid, cwd: oneadmin.home } as const;
const defaultTimeoutMs = 120_000;

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

function start(argv: readonly string[], identity: Identity, options: RunOptions): Running {
  const [program, ...args] = argv;
  if (program === undefined) throw new Error('no program given');
  const child = spawn(program, args, { ...identity, detached: true, stdio: 'pipe' });
  const kill = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, signal);
  };
  child.stdin.on('error', () => undefined); // the program may end before it read everything
  child.stdin.end(options.input ?? '');
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const ended = new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      kill('SIGKILL');
      reject(new Error(`${argv.join(' ')} did not end within ${timeoutMs} ms`));
    }, timeoutMs);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
  const result = Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { result: result.then(([stdout, stderr, exitCode]) => ({ stdout, stderr, exitCode })), kill };
}

/** Starts a program on the frontend as oneadmin, with oned's environment. */
function startFrontend(argv: readonly string[], options: RunOptions = {}): Running {
  return start(argv, { ...oned, env: { ...onedEnvironment, ...options.env } }, options);
}

/** Runs a program on the frontend as oneadmin, with oned's environment, to its end, whatever that is. */
function frontend(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return startFrontend(argv, options).result;
}

/** A shell on a node as oned's VMM driver opens one for each action; whoever has it ends it. */
function shellOn(name: string, timeoutMs = defaultTimeoutMs): ShellStream {
  const words = ['-n', '19', 'ssh', '-o', 'ControlMaster=no', name, 'bash', '-s'];
  return new ShellStream(spawn('nice', words, { ...oned, env: onedEnvironment, stdio: 'pipe', timeout: timeoutMs }));
}

/**
 * Runs shell text on a node as root, over a connection that stays open (0.02 s a call).
 * @throws Error with the text and what it said, on an exit code other than 0 unless `okExitCodes` is 'any'
 */
async function node(name: NodeName, shellText: string, options: RunOptions = {}): Promise<RunResult> {
  const result = await start(['ssh', '-F', sshConfig, name, shellText], { cwd: '/' }, options).result;
  if (result.exitCode === 0 || options.okExitCodes === 'any') return result;
  const said = `${result.stdout}${result.stderr}`.trim();
  throw new Error(`on ${name}, exit code ${result.exitCode}:\n${shellText}\n${said}`);
}

/** Boots a node, if it does not run, and waits until it answers; node3 runs only after this. */
async function startAgain(name: NodeName): Promise<void> {
  await startNode(name);
  if (labKind === 'xen') await node(name, mountDatastore);
}

/** Standard output of shell text on a node, without the final newline. */
async function output(name: NodeName, shellText: string): Promise<string> {
  return (await node(name, shellText)).stdout.replace(/\n$/, '');
}

async function lines(name: NodeName, shellText: string): Promise<readonly string[]> {
  const all = await output(name, shellText);
  return all === '' ? [] : all.split('\n');
}

interface VolumeReport {
  readonly report: readonly { readonly lv: readonly Readonly<Record<string, string>>[] }[];
}

/** The logical volumes of a volume group, as a node sees them; sorted by name. */
async function logicalVolumes(name: NodeName, group: string = volumeGroup): Promise<readonly LogicalVolume[]> {
  const fields = 'lv_name,lv_size,lv_tags,lv_active,lv_device_open';
  const command = `lvs --reportformat json --units b --nosuffix --sort lv_name -o ${fields} ${group}`;
  const { report } = JSON.parse(await output(name, command)) as VolumeReport;
  const volumes = report.flatMap(({ lv }) => lv);
  return volumes.map((volume) => ({
    name: volume['lv_name'] ?? '',
    sizeBytes: Number(volume['lv_size']),
    tags: (volume['lv_tags'] ?? '').split(',').filter((tag) => tag !== ''),
    active: volume['lv_active'] === 'active',
    open: volume['lv_device_open'] === 'open',
  }));
}

/** Names of the device mapper's devices of a node. */
function deviceMapper(name: NodeName): Promise<readonly string[]> {
  return lines(name, "dmsetup ls | grep -v '^No devices' | cut -f1 | sort");
}

/** `target source type` of each mount of a node, in all mount namespaces. */
function mounts(name: NodeName): Promise<readonly string[]> {
  return lines(name, "cat /proc/[0-9]*/mounts 2>/dev/null | awk '{print $2, $1, $3}' | sort -u");
}

function loopDevices(name: NodeName): Promise<readonly string[]> {
  return lines(name, 'losetup -n -O NAME,BACK-FILE | sort');
}

/** Everything that an action could have left on a node. */
async function traces(name: NodeName): Promise<Traces> {
  const directories = `/tmp /var/tmp ${oneadmin.home} ${oneadmin.home}/datastores/*`;
  const tools = 'cxm-host|tar|mkfs|dd|mount|lvcreate|lvremove|xl|zstd|gzip|blkdiscard';
  const [volumes, devices, mountPoints, loops, files, processes] = await Promise.all([
    logicalVolumes(name),
    deviceMapper(name),
    mounts(name),
    loopDevices(name),
    lines(name, `find ${directories} -maxdepth 2 ! -name .ssh ! -path '*/.ssh/*' | sort -u`),
    lines(name, `ps -eo args= | grep -E '(^|/)(${tools})( |$)' | grep -v grep | sort || true`),
  ]);
  const logicalVolumeNames = volumes.map((volume) => volume.name);
  return { logicalVolumes: logicalVolumeNames, devices, mounts: mountPoints, loopDevices: loops, files, processes };
}

/** Writes a file on the frontend that belongs to oneadmin; missing directories too. Paths are absolute. */
function writeFrontend(path: string, content: string | Uint8Array, mode = 0o644): void {
  const missing: string[] = [];
  for (let up = join(path, '..'); !fs.existsSync(up); up = join(up, '..')) missing.unshift(up);
  for (const directory of missing) {
    fs.mkdirSync(directory);
    fs.chownSync(directory, oneadmin.uid, oneadmin.gid);
  }
  fs.writeFileSync(path, content);
  fs.chownSync(path, oneadmin.uid, oneadmin.gid);
  fs.chmodSync(path, mode);
}

/** `onevm show -x <id>` on the frontend prints this document from now on. */
function prepareVm(id: number, xml: string): void {
  writeFrontend(`${oneadmin.home}/onevm/${id}.xml`, xml);
}

/** `oneimage show -x <id>` on the frontend prints this document from now on. */
function prepareImage(id: number, xml: string): void {
  writeFrontend(`${oneadmin.home}/oneimage/${id}.xml`, xml);
}

/** `onehost show -x <id or name>` on the frontend prints this document from now on. */
function prepareHost(idOrName: number | string, xml: string): void {
  writeFrontend(`${oneadmin.home}/onehost/${idOrName}.xml`, xml);
}

/**
 * Brings the lab back to the start: node1 and node2 run and are on the network; there and on the frontend are no logical
 * volumes, devices, mounts below the datastores, VM directories, domains or prepared documents.
 */
async function reset(): Promise<void> {
  for (const name of nodeNames.filter((other) => isRunning(other))) {
    contNode(name);
    healNode(name);
  }
  await Promise.all(startedNodes.map((name) => startAgain(name)));
  for (const directory of [
    'onevm',
    'oneimage',
    'onehost',
    ...Object.values(datastores).map((id) => `datastores/${id}`),
  ]) {
    for (const entry of fs.readdirSync(join(oneadmin.home, directory))) {
      fs.rmSync(join(oneadmin.home, directory, entry), { recursive: true });
    }
  }
  fs.rmSync(join(oneadmin.home, 'one-calls.txt'), { force: true });
  const running = nodeNames.filter((name) => isRunning(name));
  for (const name of running) await node(name, resetText);
}

const resetText = `
  if [ -x /usr/sbin/xl ]; then xl list | awk 'NR > 1 && $2 > 0 {print $1}' | xargs -r -n 1 xl destroy; fi
  rm -rf /var/lib/xl-simulated
  awk '$2 ~ "^${oneadmin.home}/datastores/[0-9]+/." {print $2}' /proc/mounts | sort -r | xargs -r umount
  lvs --noheadings -o vg_name,lv_name ${volumeGroup} | awk '{print $1 "/" $2}' | xargs -r lvremove -qq -f
  dmsetup ls | grep '^${volumeGroup}-' | cut -f1 | xargs -r -n 1 dmsetup remove
  for d in ${oneadmin.home}/datastores/*; do find "$d" -mindepth 1 -maxdepth 1 -exec rm -rf {} +; done
  rm -rf /etc/xen/vm/* /etc/xen/auto/*
`;

export const lab = {
  nodes: nodeNames,
  volumeGroup,
  datastores,
  frontend,
  startFrontend,
  shellOn,
  node,
  output,
  start: startAgain,
  /** Power failure. */
  kill: killNode,
  /** Hangs until `cont`. */
  stop: stopNode,
  cont: contNode,
  /** Off the network until `heal`; `node` does not reach it either. */
  cut: cutNode,
  heal: healNode,
  isRunning,
  logicalVolumes,
  deviceMapper,
  mounts,
  loopDevices,
  traces,
  writeFrontend,
  prepareVm,
  prepareImage,
  prepareHost,
  reset,
} as const;
