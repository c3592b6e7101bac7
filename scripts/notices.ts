/**
 * Third-party notices: the licence texts of the packages that really ended up in a bundle, as esbuild's metafiles say.
 * A package without a licence text stops the build.
 */
import type { Metafile } from 'esbuild';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export async function renderNotices(root: string, metafiles: readonly Metafile[]): Promise<string> {
  const inputs = metafiles.flatMap((metafile) => Object.keys(metafile.inputs));
  const names = new Set(inputs.map(packageOf).filter((name) => name !== undefined));
  const parts = await Promise.all([...names].sort().map((name) => noticeOf(join(root, name))));
  return `Parts of cxm's programs come from these packages.\n${parts.join('')}`;
}

/** `node_modules/@scope/name` of a path within it; of the innermost one if packages nest. */
function packageOf(path: string): string | undefined {
  return /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}

async function noticeOf(directory: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')) as Record<string, unknown>;
  const files = await readdir(directory);
  const file = files.find((name) => /^licen[cs]e/i.test(name));
  const title = `${String(manifest.name)} ${String(manifest.version)} (${String(manifest.license)})`;
  const text = file === undefined ? '' : await readFile(join(directory, file), 'utf8');
  if (text === '' && typeof manifest.license !== 'string') throw new Error(`${title} has no licence`);
  return `\n${'='.repeat(100)}\n${title}\n\n${text.trim()}\n`;
}
