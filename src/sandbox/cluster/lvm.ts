/**
 * Stand-ins for the LVM programs that the cluster core runs on nodes: vgs, lvs, lvchange and dmsetup, over the volume group
 * files of the sandbox. One program under four names, with the options that cxm gives and those a person tries.
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { CxmError } from '../../errors.ts';
import { localCommands } from '../../host/commands.ts';
import type { LogicalVolume, VolumeGroupInfo } from '../../lvm/report.ts';
import { DirectoryVolumes } from '../host/directory-volumes.ts';
import { layoutOf, nodeOf, nodeVariable, sandboxVariable, volumeGroup } from '../layout.ts';

type Fields = Readonly<Record<string, string>>;

/** Exit code of LVM's programs for all that went wrong. */
const failed = 5;

function openGroup(): DirectoryVolumes {
  const node = nodeOf(layoutOf(process.env[sandboxVariable] ?? ''), process.env[nodeVariable] ?? '');
  return new DirectoryVolumes(localCommands, {
    name: volumeGroup,
    directory: node.groupDirectory,
    devices: node.devices,
  });
}

function groupFields(group: VolumeGroupInfo, volumes: number): Fields {
  return {
    vg_name: group.name,
    vg_uuid: group.uuid,
    vg_size: String(group.sizeBytes),
    vg_free: String(group.freeBytes),
    vg_extent_size: String(group.extentBytes),
    vg_lock_type: group.lockType,
    lv_count: String(volumes),
  };
}

function volumeFields(volume: LogicalVolume): Fields {
  const size = String(volume.sizeBytes);
  return {
    lv_name: volume.name,
    vg_name: volumeGroup,
    lv_uuid: volume.uuid,
    lv_size: size,
    lv_tags: volume.tags.join(','),
    lv_active: volume.active ? 'active' : '',
    lv_device_open: volume.open ? 'open' : '',
    lv_path: `/dev/${volumeGroup}/${volume.name}`,
    origin: volume.origin,
    origin_size: volume.origin === '' ? '' : size,
  };
}

/** @param names groups or volumes that are asked for; all when empty */
async function report(kind: 'vg' | 'lv', args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      reportformat: { type: 'string' },
      units: { type: 'string' },
      nosuffix: { type: 'boolean' },
      noheadings: { type: 'boolean' },
      options: { type: 'string', short: 'o' },
    },
  });
  const group = openGroup();
  const stranger = positionals.find((name) => name.split('/')[0] !== volumeGroup);
  if (stranger !== undefined) throw new CxmError('LVM', `Volume group "${stranger}" not found`);
  const volumes = await group.list();
  const wanted = positionals.flatMap((name) => name.split('/')[1] ?? []);
  const rows =
    kind === 'vg'
      ? [groupFields(await group.info(), volumes.length)]
      : volumes.filter(({ name }) => wanted.length === 0 || wanted.includes(name)).map(volumeFields);
  const standard =
    kind === 'vg' ? 'vg_name,lv_count,vg_size,vg_free' : 'lv_name,vg_name,lv_active,lv_device_open,lv_size';
  const fields = (values.options ?? standard).split(',');
  const chosen = rows.map((row) => Object.fromEntries(fields.map((field) => [field, row[field] ?? ''])));
  if (values.reportformat === 'json') process.stdout.write(`${JSON.stringify({ report: [{ [kind]: chosen }] })}\n`);
  else printTable(fields, chosen);
}

function printTable(fields: readonly string[], rows: readonly Fields[]): void {
  const widths = fields.map((field) => Math.max(field.length, ...rows.map((row) => row[field]?.length ?? 0)));
  const header = Object.fromEntries(fields.map((field) => [field, field]));
  for (const row of [header, ...rows]) {
    const line = fields.map((field, index) => (row[field] ?? '').padEnd(widths[index] ?? 0)).join('  ');
    process.stdout.write(`  ${line.trimEnd()}\n`);
  }
}

async function change(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      yes: { type: 'boolean', short: 'y' },
      refresh: { type: 'boolean' },
      activate: { type: 'string', short: 'a' },
    },
  });
  const group = openGroup();
  for (const word of positionals) {
    const [name, volume = ''] = word.split('/');
    if (name !== volumeGroup || (await group.find(volume)) === undefined) {
      throw new CxmError('LVM', `Failed to find logical volume "${word}"`);
    }
    if (values.activate?.endsWith('n') === true) await group.deactivate(volume);
    else if (values.activate !== undefined) await group.activate(volume);
  }
}

/** The sandbox has no device mapper, so no mapping is ever stale. */
function noMapping(): never {
  throw new CxmError('LVM', 'Device does not exist.');
}

async function run(program: string, args: readonly string[]): Promise<void> {
  if (program === 'vgs') return report('vg', args);
  if (program === 'lvs') return report('lv', args);
  if (program === 'lvchange') return change(args);
  return noMapping();
}

process.stdout.on('error', () => undefined);
const program = basename(process.argv[1] ?? '');
run(program, process.argv.slice(2)).catch((error: unknown) => {
  const inUse = error instanceof CxmError && error.code === 'IN_USE';
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`  ${inUse ? `Logical volume in use: ${text}` : text}\n`);
  process.exitCode = program === 'dmsetup' ? 1 : failed;
});
