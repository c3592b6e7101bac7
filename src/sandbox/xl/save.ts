/**
 * Saving a domain to a file and starting one from it. The file begins as xl's do, with the configuration, and carries the
 * guest's state, so that a test can see that the same guest goes on. A guest is not restored as one of another type.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { formatSaveHead, saveHeadLength, saveMagic } from '../../xen/save-file.ts';
import { buildDomain, tearDown } from './build.ts';
import { readSettings } from './configuration.ts';
import { findDomain, parseArguments, sleep, XlFailure } from './context.ts';
import type { Command, Context } from './context.ts';
import { staleWarnings } from './devices.ts';
import { settledCpu } from './domain.ts';
import type { DomainSettings, GuestState, SimulatedDomain } from './domain.ts';
import { continueGuest, stopGuest } from './guest-program.ts';
import { configurationOf } from './lists.ts';

export interface SavedDomain {
  readonly settings: DomainSettings;
  readonly guest: GuestState;
}

export const streamInfo = '(info 0x3/0x0/1223)';

export const save: Command = async (context, args) => {
  const { options, operands } = parseArguments(args, ['c', 'p', 'd']);
  const [reference, file = ''] = operands;
  const domain = findDomain(context, reference);
  const { id } = domain;
  staleWarnings(context, domain);
  let descriptor: number;
  try {
    descriptor = openSync(file, 'w', 0o600);
  } catch {
    throw new XlFailure(1, `Failed to open temp file ${file} for writing`);
  }
  context.say(`Saving to ${file} new xl format ${streamInfo}`);
  context.say(`xc: info: Saving domain ${id}, type x86 ${domain.settings.type.toUpperCase()}`);
  stopGuest(domain);
  context.store.update(id, (current) => ({
    ...current,
    cpu: settledCpu(current, Date.now()),
    shutdown: 'suspend',
    monitored: false,
  }));
  if (context.store.knobs.saveMs > 0) await sleep(context.store.knobs.saveMs);
  const saved: SavedDomain = { settings: domain.settings, guest: { ...domain.guest, moves: domain.guest.moves + 1 } };
  const failure = writeState(context, descriptor, saved);
  if (failure !== undefined) {
    resume(context, id);
    throw new XlFailure(
      1,
      `xc: error: Failed to write page data to stream (${failure}): Internal error`,
      `xc: error: Save failed (${failure}): Internal error`,
      `libxl: error: libxl_stream_write.c:347:libxl__xc_domain_save_done: Domain ${id}:saving domain: domain responded to suspend request: ${failure.replace(/^.* = /, '')}`,
      'Failed to save domain, resuming domain',
    );
  }
  if (options.has('c') || options.has('p')) resume(context, id, options.has('p'));
  else await tearDown(context, id);
  return 0;
};

/** The error's number and text when the file system is full or nobody reads the pipe any more. */
function writeState(context: Context, descriptor: number, saved: SavedDomain): string | undefined {
  const noSpace = '28 = No space left on device';
  const frames = saved.settings.memoryKib / 4;
  const full = context.store.knobs.saveFails === 'ENOSPC';
  try {
    for (let percent = 5; percent <= (full ? 40 : 100); percent += 5) progress(context, frames, percent);
    if (full) return noSpace;
    const head = formatSaveHead(configurationOf(saved.settings));
    writeSync(descriptor, Buffer.concat([head, Buffer.from(`${JSON.stringify(saved)}\n`)]));
    context.say('xc: progress: End of stream: 0/0    0%');
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return noSpace;
    if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return '32 = Broken pipe';
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function progress(context: Context, frames: number, percent: number): void {
  const done = Math.floor((frames * percent) / 100);
  context.say(`xc: progress: Frames: ${done}/${frames}  ${String(percent).padStart(3)}%`);
}

/** The guest goes on, without the monitor that ended when it was suspended. */
export function resume(context: Context, id: number, paused = false): void {
  const cpu = (domain: SimulatedDomain) => ({ ...domain.cpu, sinceMs: Date.now() });
  const resumed = context.store.update(id, (domain) => ({ ...domain, shutdown: undefined, paused, cpu: cpu(domain) }));
  if (!paused) continueGuest(resumed);
}

export const restore: Command = async (context, args) => {
  const { options, operands } = parseArguments(args, ['p', 'e', 'd', 'F', 'V', 'A']);
  const file = operands.at(-1) ?? '';
  const configPath = operands.length > 1 ? operands[0] : undefined;
  const { settings, guest } = readState(context, file, configPath);
  const durationMs = context.store.knobs.createMs;
  context.say(`Parsing config from ${configPath ?? '<saved>'}`);
  try {
    const monitored = !options.has('e');
    await buildDomain(context, settings, { durationMs, paused: options.has('p'), monitored, guest });
  } catch (error) {
    throw error instanceof XlFailure ? new XlFailure(1, ...error.lines) : error;
  }
  sayRestored(context);
  return 0;
};

function readState(context: Context, file: string, configPath: string | undefined): SavedDomain {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    throw new XlFailure(1, "Can't open restore file: No such file or directory");
  }
  if (bytes.toString('latin1', 0, saveMagic.length) !== saveMagic) {
    throw new XlFailure(1, 'File has wrong magic number - corrupt or for a different tool?');
  }
  const saved = JSON.parse(bytes.toString('utf8', saveHeadLength(bytes))) as SavedDomain;
  context.say(`Loading new save file ${file} (new xl fmt info 0x3/0x0/1223)`);
  context.say(' Savefile contains xl domain config in JSON format');
  if (configPath === undefined) return saved;
  const bridge = context.store.host.bridges[0] ?? 'xenbr0';
  const settings = readSettings(readFileSync(configPath, 'utf8'), configPath, bridge, context.say);
  if (settings.type === saved.settings.type) return { ...saved, settings };
  throw new XlFailure(
    1,
    `libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain ${context.store.nextId()}:cannot (re-)build domain: -3`,
  );
}

export function sayRestored(context: Context): void {
  context.say('xc: info: Found x86 PV domain from Xen 4.17');
  context.say('xc: info: Restoring domain');
  context.say('xc: info: Restore successful');
  context.say('xc: info: XenStore: mfn 0x360a4, dom 0, evt 1');
  context.say('xc: info: Console: mfn 0x360a3, dom 0, evt 2');
}
