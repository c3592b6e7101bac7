/**
 * `cxm_fence NODE` of the sandbox: the node loses its power. Its domains end, nothing is active there any more, and it answers
 * to nobody until the file `down` in its directory is removed.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { layoutOf, nodeOf, sandboxVariable } from '../layout.ts';
import { releaseDisks } from '../xl/holder.ts';
import { Store } from '../xl/store.ts';

async function powerOff(name: string): Promise<void> {
  const node = nodeOf(layoutOf(process.env[sandboxVariable] ?? ''), name);
  writeFileSync(node.downFile, '');
  for (const { holders } of new Store(node.xen).domains()) {
    for (const holder of holders) await releaseDisks(holder);
  }
  rmSync(node.devices, { recursive: true, force: true });
}

powerOff(process.argv[2] ?? '').catch((error: unknown) => {
  process.stderr.write(`cxm_fence: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
