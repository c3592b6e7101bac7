/**
 * The parts of the transfer benchmark that need hosts; runs inside the lab, on its frontend. Each contestant's result
 * is checked once, so that nothing fast and wrong is measured.
 *
 * Arguments: a file for the rows as JSON, then the words of the benchmark's own command line.
 */
import { createHash } from 'node:crypto';
import { createReadStream, rmSync, writeFileSync } from 'node:fs';
import { lab } from '../lab/lab.ts';
import { oneadmin } from '../lab/layout.ts';
import { diskPath, frontend, imagePath, prepareVmWithImage, tmOk } from '../lab/tm/support.ts';
import { copyRaw, packVolume, unpackArchive } from './bare.ts';
import { benchHosts, type BenchHost } from './hosts.ts';
import { makeArchiveImage, makeEmptyImage, makeRawImage, type MadeImage } from './images.ts';
import { race, wireBytes, type Contestant } from './measure.ts';
import { describeBytes, mib, parseOptions, sizesOf } from './options.ts';
import { side, type Row } from './results.ts';
import { say } from './say.ts';

const vmId = 7;
const ourVolume = `lv-one-${vmId}-0`;
const bareVolume = 'bare';
const link = diskPath(vmId, 0);

const [rowsFile = '', ...words] = process.argv.slice(2);
const options = parseOptions(words);
const sizes = sizesOf(options);

function configure(lines: readonly string[] = []): void {
  lab.writeFrontend(`${oneadmin.home}/remotes/cxmrc`, ['VG_NAME="VG0"', ...lines, ''].join('\n'));
}

async function removeAll(host: BenchHost): Promise<void> {
  await host.removeVolumes();
  await host.run(`rm -f ${link}`);
}

async function createBare(host: BenchHost, bytes: number): Promise<void> {
  await removeAll(host);
  await host.run(host.create(bareVolume, bytes));
}

async function clone(host: BenchHost, image: MadeImage): Promise<void> {
  await tmOk('clone', [`${frontend}:${image.path}`, `${host.name}:${link}`, String(vmId), '1'], { timeoutMs: 600_000 });
}

/** A VM whose image says how large the disk is. */
function prepareDisk(bytes: number): void {
  prepareVmWithImage(vmId, { SIZE: `${bytes / mib}M`, FSTYPE: 'ext4' });
}

/** Number of files and bytes below the root of a volume's file system. */
function census(host: BenchHost, volume: string): Promise<string> {
  const count = `find . -type f -printf '%s\\n' | awk '{n++; s+=$1} END {print n, s}'`;
  const mount = `mount -o ${['ro', 'noload', ...host.mountOptions].join(',')} ${host.path(volume)} /m`;
  return host.run(`mkdir -p /m; ${mount}; cd /m; ${count}; cd /; umount /m`);
}

function requireSame(what: string, found: readonly string[]): void {
  if (new Set(found).size !== 1) throw new Error(`${what} differ: ${found.join(' / ')}`);
}

async function tarMode(host: BenchHost): Promise<Row[]> {
  const image = makeArchiveImage('bench-archive', sizes.tree);
  const empty = makeEmptyImage('bench-empty', sizes.disk);
  prepareDisk(sizes.disk);
  const prepare = (): Promise<void> => removeAll(host);
  const bareJob = { archive: image.path, volume: bareVolume, sizeBytes: sizes.disk };
  const ours: Contestant = { label: 'clone', prepare, run: () => clone(host, image) };
  const bare: Contestant = {
    label: 'cat | ssh host "create, mkfs, mount, zstd -d | tar x, umount, sync"',
    prepare,
    run: () => unpackArchive(host, bareJob),
  };
  const whole: Contestant = {
    label: 'dd bs=64k | ssh host dd bs=64k',
    prepare: () => createBare(host, sizes.disk),
    run: () => copyRaw(host, empty.path, bareVolume, sizes.wholeSample),
  };
  const zeroing: Contestant = {
    label: 'the same, and blkdiscard -z before mkfs',
    prepare,
    run: () => unpackArchive(host, bareJob, { zeroFirst: true }),
  };
  await removeAll(host);
  const wire = await wireBytes(host, ours.run);
  const ourCensus = await census(host, ourVolume);
  await removeAll(host);
  const bareWire = await wireBytes(host, bare.run);
  requireSame('files', [ourCensus, await census(host, bareVolume)]);
  const contestants = [ours, bare, whole, ...(host.zero === undefined ? [] : [zeroing])];
  const [oursSeconds = [], bareSeconds = [], sampleSeconds = [], zeroingSeconds] = await race(
    host,
    options.rounds,
    contestants,
  );
  rmSync(image.path);
  rmSync(empty.path);
  const part = `archive of ${describeBytes(sizes.tree)} of files to a disk of ${describeBytes(sizes.disk)}, ${host.description}`;
  const oursSide = side('clone', oursSeconds);
  const bytesRow: Row = {
    id: `${host.id}-tar-bytes`,
    part,
    what: 'bytes sent and received',
    unit: 'bytes',
    rival: side('the archive', [image.bytes]),
    ours: side('clone', [wire.payload]),
    target: { kind: 'atMost', ratio: 1.02 },
    note: `payload of the ssh connection, both ways; with all overhead of ssh, TCP and Ethernet the interface counted ${wire.interface} bytes, for the bare pipeline ${bareWire.interface}`,
  };
  const timeRow: Row = {
    id: `${host.id}-tar-time`,
    part,
    what: 'time',
    unit: 'seconds',
    rival: side(bare.label, bareSeconds),
    ours: oursSide,
    target: { kind: 'atMost', ratio: 1.15 },
  };
  return [
    bytesRow,
    timeRow,
    ...(zeroingSeconds === undefined ? [] : [zeroingRow(host, part, oursSide, side(zeroing.label, zeroingSeconds))]),
    wholeRow(host, part, oursSide, side(whole.label, sampleSeconds)),
  ];
}

function zeroingRow(host: BenchHost, part: string, ours: Row['ours'], rival: Row['rival']): Row {
  return {
    id: `${host.id}-tar-time-zeroing`,
    part,
    what: 'time against a rival that hides old data, too',
    unit: 'seconds',
    rival,
    ours,
    target: { kind: 'none' },
    note: `without it the new tenant can read the blocks of the last one; zeroing ${describeBytes(sizes.disk)} takes 1 to 3 s in the lab, because its disk takes it in pieces of 32 KiB, where a SAN takes megabytes`,
  };
}

function wholeRow(host: BenchHost, part: string, ours: Row['ours'], sample: Row['rival']): Row {
  const factor = sizes.disk / sizes.wholeSample;
  const seconds = sample.samples.map((taken) => taken * factor);
  const sampled = `dd was measured with ${describeBytes(sizes.wholeSample)} and its time multiplied by ${factor}`;
  return {
    id: `${host.id}-tar-whole-disk`,
    part,
    what: 'time against the whole raw disk',
    unit: 'seconds',
    rival: side(sample.label, seconds),
    ours,
    target: { kind: 'fasterBy', ratio: 10 },
    ...(factor === 1 ? {} : { note: sampled }),
  };
}

/** SHA-256 of the beginning of a volume, and of a file of the frontend. */
async function volumeDigest(host: BenchHost, volume: string, bytes: number): Promise<string> {
  return (await host.run(`head -c ${bytes} ${host.path(volume)} | sha256sum`)).slice(0, 64);
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: mib })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function rawMode(host: BenchHost): Promise<Row[]> {
  const image = makeRawImage('bench-raw', sizes.raw);
  prepareDisk(sizes.raw);
  const ours: Contestant = { label: 'clone', prepare: () => removeAll(host), run: () => clone(host, image) };
  const bare: Contestant = {
    label: 'dd bs=64k | ssh host dd bs=64k conv=fsync',
    prepare: () => createBare(host, sizes.raw),
    run: () => copyRaw(host, image.path, bareVolume, sizes.raw),
  };
  await removeAll(host);
  await ours.run();
  requireSame('disks', [await fileDigest(image.path), await volumeDigest(host, ourVolume, sizes.raw)]);
  const [oursSeconds = [], bareSeconds = []] = await race(host, options.rounds, [ours, bare]);
  rmSync(image.path);
  return [
    {
      id: `${host.id}-raw-time`,
      part: `raw image of ${describeBytes(sizes.raw)}, a quarter of it data, ${host.description}`,
      what: 'time',
      unit: 'seconds',
      rival: side(bare.label, bareSeconds),
      ours: side('clone', oursSeconds),
      target: { kind: 'atMost', ratio: 0.35 },
    },
  ];
}

async function fetchMode(host: BenchHost): Promise<Row[]> {
  const image = makeArchiveImage('bench-archive', sizes.tree);
  prepareDisk(sizes.disk);
  await removeAll(host);
  await clone(host, image);
  const saved = imagePath('bench-saved');
  const prepare = (): Promise<void> => Promise.resolve(rmSync(saved, { force: true }));
  const fetch = (mode: string, level: number): Contestant => ({
    label: `cpds, MODE ${mode}`,
    prepare: async () => {
      await prepare();
      configure([`MODE="${mode}"`, `COMPRESS_LEVEL="${level}"`]);
    },
    run: async () => void (await tmOk('cpds', [`${host.name}:${link}`, saved, '-1', String(vmId), '1'])),
  });
  const bare = (compressor: string): Contestant => ({
    label: `ssh host "mount, tar c | ${compressor}, umount", sync`,
    prepare,
    run: () => packVolume(host, ourVolume, compressor, saved),
  });
  const contestants = [fetch('TZST', 1), bare('zstd -1 -T0'), fetch('TGZ', 6), bare('gzip')] as const;
  const [zstd = [], bareZstd = [], gzip = [], bareGzip = []] = await race(host, options.rounds, contestants);
  configure();
  rmSync(saved);
  rmSync(image.path);
  const part = `fetching the ${describeBytes(sizes.tree)} of files back, ${host.description}`;
  const ours = side(contestants[0].label, zstd);
  const row = (
    name: string,
    what: string,
    rival: Contestant,
    seconds: readonly number[],
    target: Row['target'],
  ): Row => ({
    id: `${host.id}-fetch-${name}`,
    part,
    what,
    unit: 'seconds',
    rival: side(rival.label, seconds),
    ours,
    target,
  });
  return [
    row('time', 'time', contestants[1], bareZstd, { kind: 'atMost', ratio: 1.15 }),
    row('tgz', 'time against MODE TGZ', contestants[2], gzip, { kind: 'fasterBy', ratio: 3 }),
    row('gzip', 'time against gzip', contestants[3], bareGzip, { kind: 'fasterBy', ratio: 3 }),
  ];
}

const modes = { tar: tarMode, raw: rawMode, fetch: fetchMode } as const;

const rows: Row[] = [];
for (const id of options.hosts) {
  const host = benchHosts[id];
  for (const part of options.parts) {
    if (part === 'start') continue;
    await lab.reset();
    configure();
    await host.prepare();
    say(`${host.name}, ${part}:`);
    rows.push(...(await modes[part](host)));
    await removeAll(host);
  }
}
writeFileSync(rowsFile, JSON.stringify(rows));
