/** Several cxm at once, and one that dies: the built program in a sandbox of three nodes. Needs a build. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliSandbox } from './sandbox.ts';

const timeoutMs = 180_000;

describe('several cxm, and one that is killed', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  beforeAll(() => {
    box = new CliSandbox();
    box.addVm('shop.example.org', { linkOn: 'node1' });
  });
  afterAll(() => box.close());

  it('two that create the same VM on different nodes: exactly one wins', async () => {
    for (const { name } of box.layout.nodes) box.setKnobs(name, { createMs: 500 });
    const both = await Promise.all([
      box.cxm(['create', 'shop.example.org', '-f', 'node1']),
      box.cxm(['create', 'shop.example.org', '-f', 'node2'], { at: 'node2' }),
    ]);
    expect(both.map(({ exitCode }) => exitCode).sort()).toEqual([0, 2]);
    const [winner] = ['node1', 'node2'].filter((_, index) => both[index]?.exitCode === 0);
    expect(box.nodesWith('shop.example.org')).toEqual([winner]);
    expect(box.activeOn('shop.example.org')).toEqual([winner]);
    await box.cxm(['destroy', 'shop.example.org', '-y']);
  });

  it('one that is killed in a migration and run again comes to the same end', async () => {
    await box.cxm(['create', 'shop.example.org', '-f', 'node1', '-q']);
    box.setKnobs('node1', { migrateCopyMs: 2000 });
    box.setKnobs('node2', { migrateCopyMs: 2000 });
    const child = box.start(['migrate', 'shop.example.org', 'node2']);
    const ended = new Promise((resolve) => child.on('close', resolve));
    await new Promise<void>((resolve) => {
      child.stderr?.on('data', (text: Buffer) => void (text.toString().includes('migrate shop') && resolve()));
    });
    await new Promise((resolve) => setTimeout(resolve, 700));
    child.kill('SIGKILL');
    await ended;
    const { exitCode, stderr } = await box.cxm(['migrate', 'shop.example.org', 'node2']);
    expect({ exitCode, stderr: exitCode === 0 ? '' : stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(box.nodesWith('shop.example.org')).toEqual(['node2']);
    expect([box.activeOn('shop.example.org'), box.linkedOn('shop.example.org')]).toEqual([['node2'], ['node2']]);
    const again = await box.cxm(['migrate', 'shop.example.org', 'node2']);
    expect(again.stdout).toContain('Nothing to do');
  });
});
