/** What every benchmark with real programs needs before it begins: packages of Debian, and a build. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { checkout } from '../lab/layout.ts';
import { installPackages, missingPackages } from '../lab/packages.ts';

/** How Node runs our sources. */
export const tsx = ['--import', import.meta.resolve('tsx')];

/** @throws Error on another machine than root's on Debian */
export function prepare(): void {
  if (process.getuid?.() !== 0) throw new Error('this benchmark needs root: run the same command with sudo');
  const missing = missingPackages();
  if (missing === undefined) throw new Error('this benchmark needs Debian packages, and this machine has no dpkg');
  if (missing.length > 0) installPackages(missing);
  execFileSync(process.execPath, [...tsx, join(checkout, 'scripts/build.ts'), '--quiet'], { stdio: 'inherit' });
}
