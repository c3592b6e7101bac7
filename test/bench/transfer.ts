/**
 * The parts of the transfer benchmark that need hosts; runs inside the lab: real LVM, mkfs, mount and tar on node1,
 * real ssh from the frontend. Each contestant's result is checked once, so that nothing fast and wrong is measured.
 *
 * Arguments: a file for the rows as JSON, then the words of the benchmark's own command line.
 */
import { createHash } from 'node:crypto';
import { createReadStream, rmSync, writeFileSync } from 'node:fs';
import { lab } from '../lab/lab.ts';
import { oneadmin } from '../lab/layout.ts';
import { diskPath, frontend, imagePath, prepareVmWithImage, tmOk } from '../lab/tm/support.ts';
import { copyRaw, packVolume, unpackArchive } from './bare.ts';
import { makeArchiveImage, makeEmptyImage, makeRawImage, type MadeImage } from './images.ts';
import { prepareNode, race, wireBytes, type Contestant } from './measure.ts';
import { describeBytes, mib, parseOptions, sizesOf, type Options } from './options.ts';
import { side, type Row } from './results.ts';
import { say } from './say.ts';

const vmId = 7;
const ourVolume = `lv-one-${vmId}-0`;
const bareVolume = 'bare';
const link = diskPath(vmId, 0);

async function removeVolumes(): Promise<void> {
  const remove = `lvs VG0/$v >/dev/null 2>&1 && lvremove -qq -f VG0/$v`;
  await lab.node('node1', `for v in ${ourVolume} ${bareVolume}; do ${remove}; done; rm -f ${link}`);
}

async function createBare(bytes: number): Promise<void> {
  await removeVolumes();
  await lab.node('node1', `lvcreate -qq -y -Wn -Zn -L ${bytes / mib}M -n ${bareVolume} VG0`);
}

async function clone(image: MadeImage): Promise<void> {
  await tmOk('clone', [`${frontend}:${image.path}`, `node1:${link}`, String(vmId), '1'], { timeoutMs: 600_000 });
}

function configure(lines: readonly string[] = []): void {
  lab.writeFrontend(`${oneadmin.home}/remotes/cxmrc`, ['VG_NAME="VG0"', ...lines, ''].join('\n'));
}

/** Number of files and bytes below the root of a volume's file system. */
async function census(volume: string): Promise<string> {
  const count = `find . -type f -printf '%s\\n' | awk '{n++; s+=$1} END {print n, s}'`;
  return lab.output('node1', `mkdir -p /m; mount -o ro,noload /dev/VG0/${volume} /m; cd /m; ${count}; cd /; umount /m`);
}

function requireSame(what: string, found: readonly string[]): void {
  if (new Set(found).size !== 1) throw new Error(`${what} differ: ${found.join(' / ')}`);
}

/** A VM whose image says how large the disk is. */
function prepareDisk(bytes: number): void {
  prepareVmWithImage(vmId, { SIZE: `${bytes / mib}M`, FSTYPE: 'ext4' });
}

async function tarMode(options: Options): Promise<Row[]> {
  const sizes = sizesOf(options);
  const image = makeArchiveImage('bench-archive', sizes.tree);
  prepareDisk(sizes.disk);
  const ours: Contestant = { label: 'clone (archive)', prepare: removeVolumes, run: () => clone(image) };
  const bare: Contestant = {
    label: 'cat | ssh host "lvcreate, mkfs, mount, zstd -d | tar x, umount, sync"',
    prepare: removeVolumes,
    run: () => unpackArchive(image.path, bareVolume, sizes.disk),
  };
  const zeroing: Contestant = {
    label: 'the same with blkdiscard -z before mkfs',
    prepare: removeVolumes,
    run: () => unpackArchive(image.path, bareVolume, sizes.disk, { zeroFirst: true }),
  };
  const empty = makeEmptyImage('bench-empty', sizes.disk);
  const whole: Contestant = {
    label: 'dd bs=64k | ssh dd bs=64k',
    prepare: () => createBare(sizes.disk),
    run: () => copyRaw(empty.path, bareVolume, sizes.wholeSample),
  };
  await removeVolumes();
  const wire = await wireBytes(ours.run);
  const ourCensus = await census(ourVolume);
  await removeVolumes();
  const bareWire = await wireBytes(bare.run);
  requireSame('files', [ourCensus, await census(bareVolume)]);
  const contestants = [ours, bare, zeroing, whole];
  const [oursSeconds = [], bareSeconds = [], zeroingSeconds = [], sampleSeconds = []] = await race(
    options.rounds,
    contestants,
  );
  rmSync(image.path);
  rmSync(empty.path);
  const factor = sizes.disk / sizes.wholeSample;
  const wholeSeconds = sampleSeconds.map((seconds) => seconds * factor);
  const part = `archive of ${describeBytes(sizes.tree)} of files to a disk of ${describeBytes(sizes.disk)}`;
  const sampled = `dd was measured with ${describeBytes(sizes.wholeSample)} and its time multiplied by ${factor}`;
  return [
    {
      id: 'tar-bytes',
      part,
      what: 'bytes sent and received',
      unit: 'bytes',
      rival: side('the archive', [image.bytes]),
      ours: side('clone', [wire.payload]),
      target: { kind: 'atMost', ratio: 1.02 },
      note: `payload of the ssh connection, both ways; with all overhead of ssh, TCP and Ethernet the interface counted ${wire.interface} bytes, for the bare pipeline ${bareWire.interface}`,
    },
    {
      id: 'tar-time',
      part,
      what: 'time',
      unit: 'seconds',
      rival: side(bare.label, bareSeconds),
      ours: side('clone', oursSeconds),
      target: { kind: 'atMost', ratio: 1.15 },
    },
    {
      id: 'tar-time-zeroing',
      part,
      what: 'time against a rival that hides old data, too',
      unit: 'seconds',
      rival: side(zeroing.label, zeroingSeconds),
      ours: side('clone', oursSeconds),
      target: { kind: 'none' },
      note: `without it the new tenant can read the blocks of the last one; zeroing ${describeBytes(sizes.disk)} takes 2 s or more here, because the node's disk takes it in pieces of 32 KiB, where a SAN takes megabytes`,
    },
    {
      id: 'tar-whole-disk',
      part,
      what: 'time against the whole raw disk',
      unit: 'seconds',
      rival: side(whole.label, wholeSeconds),
      ours: side('clone', oursSeconds),
      target: { kind: 'fasterBy', ratio: 10 },
      ...(factor === 1 ? {} : { note: sampled }),
    },
  ];
}

/** SHA-256 of the beginning of a volume of node1, and of a file of the frontend. */
async function volumeDigest(volume: string, bytes: number): Promise<string> {
  return (await lab.output('node1', `head -c ${bytes} /dev/VG0/${volume} | sha256sum`)).slice(0, 64);
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: mib })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function rawMode(options: Options): Promise<Row[]> {
  const { raw: rawBytes } = sizesOf(options);
  const image = makeRawImage('bench-raw', rawBytes);
  prepareDisk(rawBytes);
  const ours: Contestant = { label: 'clone (raw)', prepare: removeVolumes, run: () => clone(image) };
  const bare: Contestant = {
    label: 'dd bs=64k | ssh dd bs=64k conv=fsync',
    prepare: () => createBare(rawBytes),
    run: () => copyRaw(image.path, bareVolume, rawBytes),
  };
  await removeVolumes();
  await ours.run();
  requireSame('disks', [await fileDigest(image.path), await volumeDigest(ourVolume, rawBytes)]);
  const [oursSeconds = [], bareSeconds = []] = await race(options.rounds, [ours, bare]);
  rmSync(image.path);
  return [
    {
      id: 'raw-time',
      part: `raw image of ${describeBytes(rawBytes)}, a quarter of it data`,
      what: 'time',
      unit: 'seconds',
      rival: side(bare.label, bareSeconds),
      ours: side('clone', oursSeconds),
      target: { kind: 'atMost', ratio: 0.35 },
    },
  ];
}

async function fetchMode(options: Options): Promise<Row[]> {
  const sizes = sizesOf(options);
  const image = makeArchiveImage('bench-archive', sizes.tree);
  prepareDisk(sizes.disk);
  await removeVolumes();
  await clone(image);
  const saved = imagePath('bench-saved');
  const prepare = async (): Promise<void> => rmSync(saved, { force: true });
  const fetch = (mode: string, level: number): Contestant => ({
    label: `cpds, MODE ${mode}`,
    prepare: async () => {
      await prepare();
      configure([`MODE="${mode}"`, `COMPRESS_LEVEL="${level}"`]);
    },
    run: async () => void (await tmOk('cpds', [`node1:${link}`, saved, '-1', String(vmId), '1'])),
  });
  const bare = (compressor: string): Contestant => ({
    label: `ssh host "mount, tar c | ${compressor}, umount", sync`,
    prepare,
    run: () => packVolume(ourVolume, compressor, saved),
  });
  const contestants = [fetch('TZST', 1), bare('zstd -1 -T0'), fetch('TGZ', 6), bare('gzip')] as const;
  const [zstd = [], bareZstd = [], gzip = [], bareGzip = []] = await race(options.rounds, contestants);
  configure();
  rmSync(saved);
  rmSync(image.path);
  const part = `fetching the ${describeBytes(sizes.tree)} of files back`;
  const ours = side('cpds, MODE TZST', zstd);
  const rows = [
    {
      id: 'fetch-time',
      what: 'time',
      rival: side(contestants[1].label, bareZstd),
      target: { kind: 'atMost', ratio: 1.15 },
    },
    {
      id: 'fetch-tgz',
      what: 'time against MODE TGZ',
      rival: side(contestants[2].label, gzip),
      target: { kind: 'fasterBy', ratio: 3 },
    },
    {
      id: 'fetch-gzip',
      what: 'time against gzip',
      rival: side(contestants[3].label, bareGzip),
      target: { kind: 'fasterBy', ratio: 3 },
    },
  ] as const;
  return rows.map((row) => ({ ...row, part, unit: 'seconds', ours }));
}

const [rowsFile = '', ...words] = process.argv.slice(2);
const options = parseOptions(words);
const rows: Row[] = [];
configure();
await lab.reset();
for (const [name, measure] of [
  ['tar', tarMode],
  ['raw', rawMode],
  ['fetch', fetchMode],
] as const) {
  if (!options.parts.includes(name)) continue;
  say(`${name}:`);
  await prepareNode();
  rows.push(...(await measure(options)));
  await lab.reset();
}
writeFileSync(rowsFile, JSON.stringify(rows));
