/** Autostart links that a failover or a killed cxm leaves on two nodes. Needs a build. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliSandbox } from './sandbox.ts';

const timeoutMs = 180_000;
const [shop, mail] = ['shop.example.org', 'mail.example.org'] as const;

describe('an autostart link of a VM that was started on another node', { timeout: timeoutMs }, () => {
  let box: CliSandbox;
  beforeEach(async () => {
    box = new CliSandbox();
    box.addVm(shop, { linkOn: 'node1' });
    box.addVm(mail, { linkOn: 'node1' });
    box.link(mail, 'node2');
    // As a failover does it: the node with the link is dead.
    box.setDown('node1', true);
    await box.cxm(['start', shop, '--nodes', 'node2', '-q'], { at: 'node2' });
    box.setDown('node1', false);
    expect(box.nodesWith(shop)).toEqual(['node2']);
    expect(box.linkedOn(shop)).toEqual(['node1', 'node2']);
  }, timeoutMs);
  afterEach(() => box.close());

  it('goes at the next boot of its node, and those of VMs that run nowhere stay', async () => {
    const { exitCode, stdout } = await box.cxm(['init']);
    expect(box.linkedOn(shop)).toEqual(['node2']);
    expect(box.linkedOn(mail)).toEqual(['node1', 'node2']);
    expect(stdout).toContain(`Removed from node1: the autostart links of ${shop}.`);
    expect(exitCode).toBe(0);
  });

  it('stays when the node where the VM runs does not answer, and where the VM runs', async () => {
    await box.cxm(['init'], { at: 'node2' });
    box.setDown('node2', true);
    expect((await box.cxm(['init'])).exitCode).toBe(0);
    box.setDown('node2', false);
    expect(box.linkedOn(shop)).toEqual(['node1', 'node2']);
  });

  it('goes when the VM is to be created again, which is refused', async () => {
    const dry = await box.cxm(['create', shop, '--dry-run']);
    expect(dry.exitCode).toBe(2);
    expect(box.linkedOn(shop)).toEqual(['node1', 'node2']);
    const { exitCode, stderr } = await box.cxm(['create', shop]);
    expect(stderr).toContain(`${shop} runs on node2 already`);
    expect(exitCode).toBe(2);
    expect(box.linkedOn(shop)).toEqual(['node2']);
    expect(box.linkedOn(mail)).toEqual(['node1', 'node2']);
  });
});
