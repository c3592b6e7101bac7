/** The figures for readers: a table for the terminal, and docs/benchmarks.md with how they were taken. Pure. */
import { gib, type Options } from './options.ts';
import { isMet, ratioOf, spreadOf, type Row, type Side } from './results.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Version of the machine's kernel, as `6.1`. */
  readonly kernel: string;
  readonly node: string;
  /** Load average of the last minute before anything was measured. */
  readonly loadBefore: number;
  /** Of the measurement, as `2025-01-31`. */
  readonly date: string;
}

const headings = ['what', 'rival', 'cxm', 'ratio', 'rounds', 'target', 'met'] as const;

function value({ value: number }: Side, unit: Row['unit']): string {
  if (unit === 'bytes') return `${number.toLocaleString('en').replaceAll(',', ' ')} bytes`;
  return number < 1 ? `${(number * 1000).toFixed(0)} ms` : `${number.toFixed(1)} s`;
}

function cells(row: Row): readonly string[] {
  const { target, rival, ours, unit } = row;
  const digits = unit === 'bytes' ? 4 : 2;
  const [lowest, highest] = spreadOf(row).map((ratio) => ratio.toFixed(digits));
  const goal = target.kind === 'atMost' ? `≤ ${target.ratio} ×` : `≥ ${target.ratio ?? ''} × faster`;
  return [
    row.what,
    `${value(rival, unit)} (${rival.label})`,
    `${value(ours, unit)} (${ours.label})`,
    ratioOf(row).toFixed(digits),
    rival.samples.length > 1 && ours.samples.length > 1 ? `${lowest}–${highest}` : '',
    target.kind === 'none' ? '' : goal,
    target.kind === 'none' ? '' : isMet(row) ? 'yes' : 'NO',
  ];
}

export function describeMachine({ processor, cores, memoryBytes, kernel, node, loadBefore }: Machine): string {
  const memory = `${Math.round(memoryBytes / gib)} GiB of memory`;
  return `${cores} cores (${processor}), ${memory}, Linux ${kernel}, Node ${node}, load average ${loadBefore.toFixed(2)} before`;
}

function groups(rows: readonly Row[]): readonly (readonly [string, readonly Row[]])[] {
  const parts = [...new Set(rows.map(({ part }) => part))];
  return parts.map((part) => [part, rows.filter((row) => row.part === part)]);
}

export function renderTable(rows: readonly Row[], machine: Machine): string {
  const table = [headings, ...rows.map(cells)];
  const widths = headings.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const line = (words: readonly string[]): string =>
    words
      .map((word, column) => word.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const blocks = groups(rows).map(([part, members]) => [part, ...members.map((row) => `  ${line(cells(row))}`)]);
  return [describeMachine(machine), `  ${line(headings)}`, ...blocks.flat(), ...notes(rows), ''].join('\n');
}

function notes(rows: readonly Row[]): readonly string[] {
  return rows.flatMap(({ what, note }) => (note === undefined ? [] : [`${capital(what)}: ${note}.`]));
}

/** docs/benchmarks.md. */
export function renderDocument(rows: readonly Row[], machine: Machine, { rounds, full }: Options): string {
  const command = [
    'npm run bench -- transfer --write',
    ...(full ? ['--full'] : []),
    ...(rounds === 3 ? [] : [`--rounds ${rounds}`]),
  ];
  const markdown = (words: readonly string[]): string =>
    `| ${words.map((word) => word.replaceAll('|', '\\|')).join(' | ')} |`;
  const tables = groups(rows).flatMap(([part, members]) => [
    `### ${capital(part)}`,
    '',
    markdown(headings),
    markdown(headings.map(() => '---')),
    ...members.map((row) => markdown(cells(row))),
    '',
    ...notes(members).flatMap((note) => [note, '']),
  ]);
  const when = `Measured on ${machine.date}, ${rounds} rounds: ${describeMachine(machine)}.`;
  return [introduction(command.join(' ')), '## Results', '', when, '', ...tables, method].join('\n');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function introduction(command: string): string {
  return `# Benchmarks

This file was written by \`${command}\`. Run it as root on Debian to get your own figures: it takes
ten to twenty minutes, needs about 10 GB of free memory and leaves nothing behind. \`npm run bench -- transfer --quick\` shows
in two minutes that everything works; its figures mean nothing.

Each line sets cxm against what an experienced administrator types instead. Absolute times say little; ratios are what
counts, and only those of an idle machine: see the load average. *ratio* is that of the medians, *rounds* the lowest and the highest ratio
that a single round had, *≤* is our time divided by the rival's, *≥ … faster* the other way round.
`;
}

const method = `## How it is measured

- **Two hosts**, because no machine without a hypervisor gives both real prices and real LVM; the frontend is this machine.
  - *loopback*: the host is this machine, too, over its own sshd, with sudo, mkfs, mount and tar of its kernel: everything
    has the price that it has on hardware. Kernels of test machines often lack the device mapper, so volumes are sparse
    files in memory on both sides, and cxm works on them with the sandbox's body of its volume interface. Missing
    therefore, on both sides: LVM's commands (the rival needs one, cxm about seven of 10 to 20 ms each) and the zeroing of
    new volumes, since new files are zero.
    Frontend and host share its cores, and on two cores the bare pipeline leaves none idle: what cxm does on each side
    shows in full, where two machines would do it at the same time.
  - *lab*: a user-mode-linux node of \`test/lab\`: a real kernel that runs as a process, with device mapper, LVM, ext4, sshd,
    sudo and Node, on one core. Programs, system calls and page faults cost ten to a hundred times what they cost on
    hardware, which hits cxm more than the rival, because it starts more of them.
- **Rounds.** Rival and cxm take turns, and each round begins with another one, so that whatever else the machine does
  hits all of them. Before each run the host writes its dirty data out and forgets what it knows of the disk; programs
  stay in its memory, as on a host that is monitored every minute.
- **sshd** of the host runs with an allocator that keeps memory (GLIBC_TUNABLES), for both sides: page faults of an emulated
  kernel otherwise stop every new connection for 2 to 4 s while sshd's buffers grow.
- **The end** of every run is the moment at which all data is durable where it went: \`umount\` and \`sync\`, \`conv=fsync\`.
- **Same result.** Before times are taken, the files (or the whole disk, by SHA-256) of both sides are compared.
- **The rival is the fastest we could type:** no sudo, \`zstd -d | tar x\` instead of \`tar --zstd\` (half the speed here),
  \`mkfs.ext4 -E nodiscard\` (2 to 4 s less here). It keeps owners, extended attributes and ACLs as cxm does. It does not do
  what cxm does besides: find out what the image is, take the volume group's lock, zero the whole volume so that no
  earlier tenant's data shows, unpack in a closed room, tag and link the volume, remove everything after a failure.
- **The archive** holds small texts (a quarter of the bytes), programs (five eighths) and files that don't compress (an
  eighth), made from a fixed seed; packed with \`zstd -3\`. The raw image has 4 MiB that don't compress in each 16 MiB.
- **Bytes sent** are those that go into ssh and come out of it on the frontend.
- **Fetching** is \`cpds\`, with \`COMPRESS_LEVEL\` 1 for zstd and 6, gzip's own, for gzip.
- **How much it varies.** The two cores are virtual, and what the machine beneath gives them differs from day to day; the README
  has the ends of what several runs have shown.
- **Starting** is measured on this machine without emulation: from the start of the process to its end, in turns with
  \`node -e 0\`. For the whole action, ssh is replaced by a shell script that answers at once.
`;
