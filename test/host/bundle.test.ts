/** What is installed on the hosts is one file that needs node only: the ssh library works in it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainSsh2 } from '../../scripts/plain-ssh2.ts';
import { hasSshd, startSshd, type Sshd } from './sshd.ts';

describe.skipIf(!hasSshd)('a bundle', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-bundle-'));
  const outfile = join(directory, 'program.cjs');
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
    const contents = `import { connectNodes } from ${JSON.stringify(resolve('src/host/nodes.ts'))};
      const nodes = connectNodes({ localName: 'here', sshConfigFile: process.argv[2] });
      nodes.node(process.argv[3]).machine.run('sh', ['-c', 'id -u; cat'], { input: 'in' }).then(
        ({ stdout }) => process.stdout.write(stdout), (error) => console.log(error)).finally(() => nodes.close());`;
    await build({
      ...{ bundle: true, platform: 'node', target: 'node20', format: 'cjs', minify: true, plugins: [plainSsh2] },
      stdin: { contents, resolveDir: '.', loader: 'js' },
      outfile,
    });
  });
  afterAll(() => {
    sshd.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const run = (node: string) =>
    spawnSync(process.execPath, [outfile, sshd.configure().sshConfigFile ?? '', node], {
      encoding: 'utf8',
      cwd: directory,
      timeout: 20_000,
    });

  test('runs programs on another node, and ends by itself', () => {
    const { stdout, stderr, status } = run('node1');
    expect({ stdout, stderr, status }).toEqual({ stdout: `${process.getuid?.()}\nin`, stderr: '', status: 0 });
  });

  test('has no native parts, and reaches this node without ssh', () => {
    expect(readFileSync(outfile, 'utf8')).not.toContain('cpufeatures.node');
    const { stdout, stderr, status } = run('here');
    expect({ stdout, stderr, status }).toEqual({ stdout: `${process.getuid?.()}\nin`, stderr: '', status: 0 });
  });
});
