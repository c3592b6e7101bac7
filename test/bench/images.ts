/**
 * Images to transfer, the same on every machine: made of numbers that a fixed seed determines. The tree stands for the
 * files of a small server: many small text files, fewer programs, some files that were compressed before; zstd makes a
 * little less than half of it.
 */
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { oneadmin } from '../lab/layout.ts';
import { imagePath } from '../lab/tm/support.ts';
import { mib } from './options.ts';

const seed = 20_240_229;

/** Marsaglia's xorshift with 32 bits of state. */
class Random {
  private state: number;

  constructor(from: number) {
    this.state = from | 1;
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return this.next() % limit;
  }

  /** Bytes that no program can compress. `length` is a multiple of 4. */
  noise(length: number): Buffer {
    const words = new Uint32Array(length / 4);
    for (let at = 0; at < words.length; at += 1) words[at] = this.next();
    return Buffer.from(words.buffer);
  }
}

/** Text of words of which few are frequent: zstd -3 makes a third of it. */
function text(random: Random, dictionary: readonly string[], length: number): Buffer {
  const words: string[] = [];
  for (let bytes = 0; bytes < length;) {
    const rank = Math.floor(((random.below(65_536) * random.below(65_536)) / 2 ** 32) * dictionary.length);
    const word = dictionary[rank] ?? '\n';
    words.push(word);
    bytes += word.length + 1;
  }
  return Buffer.from(words.join(' ')).subarray(0, length);
}

/** As a program: text-like and incompressible parts in turn, the former five times as long. */
function program(random: Random, dictionary: readonly string[], length: number): Buffer {
  const parts: Buffer[] = [];
  for (let bytes = 0; bytes < length; bytes += 6144) parts.push(text(random, dictionary, 5120), random.noise(1024));
  return Buffer.concat(parts).subarray(0, length);
}

/** Of the tree's bytes: a quarter in small texts, an eighth in noise, the rest in programs. 42 files a MiB. */
function makeTree(root: string, bytes: number): void {
  const random = new Random(seed);
  const dictionary = Array.from({ length: 4096 }, () =>
    random
      .next()
      .toString(36)
      .slice(0, 2 + random.below(9)),
  );
  let left = bytes;
  let number = 0;
  const write = (group: string, content: Buffer): void => {
    const directory = join(root, group, String(number % 97));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `file-${number}`), content);
    left -= content.length;
    number += 1;
  };
  while (left > bytes * 0.75) write('etc', text(random, dictionary, 256 + random.below(12_288)));
  while (left > bytes * 0.125) write('bin', program(random, dictionary, 32_768 + random.below(327_680)));
  while (left > mib) write('data', random.noise(mib));
  write('data', random.noise(Math.floor(left / 4) * 4));
}

export interface MadeImage {
  readonly path: string;
  readonly bytes: number;
}

/** A tree of so many bytes as an archive (tar, zstd -3) in the image datastore. */
export function makeArchiveImage(name: string, treeBytes: number): MadeImage {
  const tree = '/var/tmp/cxm-bench-tree';
  makeTree(tree, treeBytes);
  const path = imagePath(name);
  execFileSync('tar', ['--numeric-owner', '--sort=name', '--mtime=@0', '-I', 'zstd -3', '-cf', path, '-C', tree, '.']);
  rmSync(tree, { recursive: true });
  return finished(path);
}

/** A sparse raw image: of each four pieces of 4 MiB one, chosen by the seed, holds data that can't be compressed. */
export function makeRawImage(name: string, sizeBytes: number): MadeImage {
  const random = new Random(seed);
  const path = imagePath(name);
  const file = openSync(path, 'w');
  const pieceBytes = 4 * mib;
  for (let at = 0; at < sizeBytes; at += 4 * pieceBytes) {
    writeSync(file, random.noise(pieceBytes), 0, pieceBytes, at + random.below(4) * pieceBytes);
  }
  ftruncateSync(file, sizeBytes);
  closeSync(file);
  return finished(path);
}

/** A raw image of nothing but a hole. */
export function makeEmptyImage(name: string, sizeBytes: number): MadeImage {
  const path = imagePath(name);
  const file = openSync(path, 'w');
  ftruncateSync(file, sizeBytes);
  closeSync(file);
  return finished(path);
}

function finished(path: string): MadeImage {
  chownSync(path, oneadmin.uid, oneadmin.gid);
  return { path, bytes: statSync(path).size };
}
