/**
 * What a disk or an image holds, by what well-known places of it say, in the words of the model: `archive 3` and `raw 0`
 * are marks that the replay has made itself, with `ext4` or `ext3` before that of a file system; `iso 4` is the context
 * that was made of the variables of that generation; others are `swap` and `zeros`.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';

/** By path; a file that was not written since has the same content. */
const known = new Map<string, { readonly key: string; readonly content: string }>();

/** Of a volume. */
export function contentOf(path: string): string {
  return unlessKnown(path, () => readContent(path));
}

/** Of an image: an archive of files, or blocks, compressed or not. A file system is told by what is in it alone. */
export function imageContentOf(path: string, scratch: string): string {
  return unlessKnown(path, () => {
    const plain = `${scratch}/plain`;
    try {
      const commands = 'zstd -dcqf -- "$1" >"$2" 2>/dev/null || cp --sparse=always -- "$1" "$2"';
      execFileSync('sh', ['-c', commands, 'sh', path, plain]);
      return (fileInArchive(plain) ?? readContent(plain)).replace(/^ext4 /, '');
    } finally {
      rmSync(plain, { force: true });
    }
  });
}

function unlessKnown(path: string, read: () => string): string {
  const { mtimeMs, ctimeMs, ino, size } = statSync(path);
  const key = `${ino} ${mtimeMs} ${ctimeMs} ${size}`;
  const before = known.get(path);
  if (before?.key === key) return before.content;
  const content = read();
  known.set(path, { key, content });
  return content;
}

function readContent(path: string): string {
  const file = openSync(path, 'r');
  const at = (offset: number, length: number): string => {
    const buffer = Buffer.alloc(length);
    readSync(file, buffer, 0, length, offset);
    return buffer.toString('latin1');
  };
  try {
    const head = at(0, 64);
    if (head.startsWith('cxm-replay ')) return head.slice(11, head.indexOf('\n'));
    if (at(1080, 2) === '\x53\xef') return `${extTypeOf(at(1024, 1024))} ${markerOf(path)}`.trim();
    if (at(4086, 10) === 'SWAPSPACE2') return 'swap';
    if (at(32_769, 5) !== 'CD001') return 'zeros';
    return `iso ${/^GENERATION='(\d+)'$/m.exec(at(0, 256 * 1024))?.[1]}`;
  } finally {
    closeSync(file);
  }
}

/** By the features: only ext4 has extents. */
function extTypeOf(superblock: string): string {
  const incompatible = Buffer.from(superblock, 'latin1').readUInt32LE(0x60);
  return (incompatible & 0x40) === 0 ? 'ext3' : 'ext4';
}

function markerOf(path: string): string {
  return execFileSync('debugfs', ['-R', 'cat /marker', path], {
    stdio: ['ignore', 'pipe', 'ignore'],
    encoding: 'utf8',
  });
}

function fileInArchive(path: string): string | undefined {
  try {
    return execFileSync('tar', ['-xOf', path, './marker'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

/** What a guest does to its disk. @param content as `contentOf` says it of the disk afterwards */
export function writeContent(path: string, content: string, scratch: string): void {
  if (!content.startsWith('ext')) return writeHead(path, `cxm-replay ${content}\n`);
  const source = `${scratch}/marker`;
  writeFileSync(source, content.slice(5));
  const commands = `rm /marker\nwrite ${source} /marker\n`;
  execFileSync('debugfs', ['-w', '-f', '-', path], { input: commands, stdio: ['pipe', 'ignore', 'ignore'] });
}

function writeHead(path: string, text: string): void {
  const file = openSync(path, 'r+');
  writeSync(file, text, 0);
  closeSync(file);
}
