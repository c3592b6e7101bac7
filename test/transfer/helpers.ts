/** What the tests of src/transfer share: temporary directories, loop devices, programs, bytes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';

/** A directory of its own for a test file; `remove` when done. */
export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'cxm-transfer-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function has(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0;
}

/** Why real devices can't be used here; undefined when they can. */
export function whyNoLoop(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!has('losetup')) return 'needs losetup (util-linux)';
  return spawnSync('losetup', ['--find']).status === 0 ? undefined : 'needs a free loop device';
}

export function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'latin1', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 28 });
}

/** A loop device on a sparse file of the given size. */
export function loopDevice(directory: string, sizeMib: number): { readonly device: string; detach(): void } {
  const file = mkdtempSync(join(directory, 'loop-'));
  const image = join(file, 'image');
  writeFileSync(image, '');
  truncateSync(image, sizeMib * 2 ** 20);
  const device = run('losetup', '--find', '--show', image).trim();
  return {
    device,
    detach: () => {
      run('losetup', '--detach', device);
      rmSync(file, { recursive: true, force: true });
    },
  };
}

export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

/** Bytes as a stream of chunks. */
export async function* chunked(bytes: Uint8Array, chunkBytes = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes)
    yield await Promise.resolve(bytes.subarray(at, at + chunkBytes));
}

export function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** The one clear error that an action must end with. */
export async function failure(work: Promise<unknown>, code: ErrorCode): Promise<CxmError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, 'it must fail with a CxmError').toBeInstanceOf(CxmError);
  const failed = error as CxmError;
  expect(`${failed.code}: ${failed.message}`).toMatch(new RegExp(`^${code}: `));
  // One line for oned's log, printable whatever a tenant put into names.
  expect(failed.message).toMatch(/^[\x20-\x7e]+$/);
  return failed;
}
