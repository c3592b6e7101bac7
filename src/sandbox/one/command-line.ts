/**
 * onevm, oneimage and onehost of the sandbox: the commands that the hook runs, and enough others to play with. Unlike the
 * real ones they do the work themselves and return when it is done.
 */
import { columns } from '../tour/terminal.ts';
import { writeCall } from '../tour/journal.ts';
import { mountVariable, nodeKinds, type Layout } from '../layout.ts';
import { CallFailed, createCaller } from './calls.ts';
import { Lifecycle } from './lifecycle.ts';
import type { NicRecord, Records, VmRecord } from './records.ts';

type Work = (lifecycle: Lifecycle, id: number, words: readonly string[]) => Promise<void>;

interface Command {
  readonly usage: string;
  readonly work: Work;
}

const commands: Readonly<Record<string, Command>> = {
  deploy: { usage: 'VM HOST', work: (lifecycle, id, [host = '']) => lifecycle.deploy(id, hostName(host)) },
  suspend: { usage: 'VM', work: (lifecycle, id) => lifecycle.suspend(id) },
  resume: { usage: 'VM', work: (lifecycle, id) => lifecycle.resume(id) },
  stop: { usage: 'VM', work: (lifecycle, id) => lifecycle.stop(id) },
  undeploy: { usage: 'VM', work: (lifecycle, id) => lifecycle.undeploy(id) },
  poweroff: { usage: 'VM', work: (lifecycle, id) => lifecycle.poweroff(id) },
  reboot: { usage: 'VM', work: (lifecycle, id) => lifecycle.reboot(id) },
  migrate: {
    usage: '[--live] VM HOST',
    work: (lifecycle, id, [host = '']) => lifecycle.migrateCold(id, hostName(host)),
  },
  'migrate --live': {
    usage: 'VM HOST',
    work: (lifecycle, id, [host = '']) => lifecycle.migrateLive(id, hostName(host)),
  },
  'disk-attach': { usage: 'VM [SIZE_MB]', work: attachDisk },
  'disk-detach': {
    usage: 'VM DISK',
    work: (lifecycle, id, [disk = '']) => lifecycle.detachDisk(id, number(disk, 'disk')),
  },
  'disk-saveas': { usage: 'VM DISK NAME', work: saveAs },
  'nic-attach': { usage: 'VM', work: attachNic },
  'nic-detach': { usage: 'VM NIC', work: (lifecycle, id, [nic = '']) => lifecycle.detachNic(id, number(nic, 'NIC')) },
  terminate: { usage: 'VM', work: (lifecycle, id) => lifecycle.terminate(id) },
};

/** @returns what goes to standard output. @throws Error to be shown as it is */
export async function runOne(layout: Layout, program: string, args: readonly string[]): Promise<string> {
  const mounts = process.env[mountVariable] === 'yes';
  const caller = createCaller({ layout, mounts, onEnd: (result) => writeCall(layout, result) });
  const lifecycle = new Lifecycle(layout, caller);
  if (program === 'onehost') return table([['ID', 'NAME', 'STORAGE'], ...nodeKinds.map(hostRow)]);
  if (program === 'oneimage') return table(imageRows(lifecycle.records()));
  if (args[0] === '--version') return 'OpenNebula 7.4.0 (the stand-in of the cxm sandbox)\n';
  if (args[0] === 'help' || args[0] === '--help') return `${usage()}\n`;
  if (args[0] === undefined || args[0] === 'list') return table(vmRows(lifecycle.records()));
  const live = args[0] === 'migrate' && args.includes('--live');
  const [name = '', ...words] = args.filter((word) => !live || word !== '--live');
  const command = Object.hasOwn(commands, live ? 'migrate --live' : name)
    ? commands[live ? 'migrate --live' : name]
    : undefined;
  if (command === undefined) throw new Error(usage());
  try {
    await command.work(lifecycle, number(words[0] ?? '', 'VM'), words.slice(1));
    return '';
  } catch (error) {
    throw error instanceof CallFailed ? new Error(`${error.message}\n${error.result.stderr.trim()}`) : error;
  }
}

async function attachDisk(lifecycle: Lifecycle, id: number, [size = '64']: readonly string[]): Promise<void> {
  const { disks, contextDisk = -1 } = lifecycle.vm(id);
  const diskId = Math.max(contextDisk, ...disks.map((disk) => disk.diskId)) + 1;
  const target = `xvd${String.fromCharCode(97 + diskId)}`;
  await lifecycle.attachDisk(id, { diskId, target, sizeMb: number(size, 'size'), volatile: 'fs' });
}

async function attachNic(lifecycle: Lifecycle, id: number): Promise<void> {
  const { nics } = lifecycle.vm(id);
  const nicId = Math.max(-1, ...nics.map((nic: NicRecord) => nic.nicId)) + 1;
  const byte = (value: number): string => value.toString(16).padStart(2, '0');
  const mac = `02:00:0a:00:${byte(nicId)}:${byte(id)}`;
  await lifecycle.attachNic(id, { nicId, mac, ip: `10.0.${nicId}.${id}`, bridge: 'br0' });
}

async function saveAs(lifecycle: Lifecycle, id: number, [disk = '', name = '']: readonly string[]): Promise<void> {
  if (!/^[a-z0-9][a-z0-9-]{0,40}$/.test(name)) throw new Error('the image needs a name of small letters and digits');
  await lifecycle.saveAs(id, number(disk, 'disk'), name);
}

function hostName(word: string): string {
  if (nodeKinds.some(({ name }) => name === word)) return word;
  throw new Error(`[one.host.info] Error getting host [${word}].`);
}

function number(word: string, what: string): number {
  if (/^[0-9]{1,9}$/.test(word)) return Number(word);
  throw new Error(`${what} is ${JSON.stringify(word)}, but must be a number\n${usage()}`);
}

function usage(): string {
  const lines = Object.entries(commands).filter(([name]) => name !== 'migrate --live');
  return [
    'commands:',
    '  onevm list',
    '  onevm show -x VM',
    ...lines.map(([name, command]) => `  onevm ${name} ${command.usage}`),
  ].join('\n');
}

function vmRows({ vms }: Records): readonly (readonly string[])[] {
  const row = ({ id, user, name, state, memoryMb, disks, history }: VmRecord): readonly string[] => {
    return [String(id), user, name, state, `${memoryMb}M`, String(disks.length), history.at(-1) ?? '-'];
  };
  return [['ID', 'USER', 'NAME', 'STATE', 'MEM', 'DISKS', 'HOST'], ...vms.map(row)];
}

function imageRows({ images }: Records): readonly (readonly string[])[] {
  const rows = images.map(({ id, name, size, sizeMb, persistent }) => {
    return [String(id), name, `${sizeMb}M`, size ?? '-', persistent ? 'yes' : 'no'];
  });
  return [['ID', 'NAME', 'STORED', 'SIZE', 'PERSISTENT'], ...rows];
}

function hostRow({ hostId, name, storage }: (typeof nodeKinds)[number]): readonly string[] {
  return [String(hostId), name, storage === 'san' ? 'the SAN' : 'disks of its own'];
}

function table(rows: readonly (readonly string[])[]): string {
  return `${columns(rows).join('\n')}\n`;
}
