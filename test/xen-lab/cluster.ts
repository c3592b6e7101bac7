/**
 * The nodes of a run: thawed from a frozen cluster that has just booted, in three seconds. If there is none yet for these
 * images, they boot, get their volume group, and are frozen first. Then our product is installed as docs/install.md
 * tells an administrator to.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkout, nodeLayout, oneadmin, sshConfig, startedNodes, volumeGroup, type NodeName } from '../lab/layout.ts';
import { product } from '../lab/machines.ts';
import { isRunning, reap } from '../lab/node-process.ts';
import { startNode } from '../lab/nodes.ts';
import { currentImages, frozenCluster, mountDatastore, overlayOf, sharedDisk } from './layout.ts';
import { freezeMachine, thawMachine } from './qemu.ts';

export async function startCluster(): Promise<void> {
  const frozen = frozenCluster(currentImages(), startedNodes.length);
  if (!existsSync(frozen.directory)) await freezeNewCluster();
  for (const name of startedNodes) copySparse(frozen.overlayOf(name), overlayOf(name));
  copySparse(frozen.sharedDisk, sharedDisk);
  await Promise.all(startedNodes.map((name) => thawNode(name, frozen.memoryOf(name))));
  await Promise.all(startedNodes.map((name) => installProduct(name)));
}

async function freezeNewCluster(): Promise<void> {
  process.stderr.write('lab: no frozen cluster of these images yet: the nodes boot (about half a minute, once)\n');
  await Promise.all(startedNodes.map((name) => startNode(name)));
  onNode('node1', `pvcreate -qq -y /dev/vdb && vgcreate -qq ${volumeGroup} /dev/vdb`);
  // What everything needs is in memory then: programs come from an emulated disk only once.
  const warm = `vgs >/dev/null; xl list >/dev/null; node -e 0; cat /boot/guest-* >/dev/null; sync`;
  for (const name of startedNodes) onNode(name, warm);
  const frozen = frozenCluster(currentImages(), startedNodes.length);
  const unfinished = { ...frozen, directory: `${frozen.directory}.unfinished` };
  rmSync(unfinished.directory, { recursive: true, force: true });
  mkdirSync(unfinished.directory, { recursive: true });
  const within = (path: string): string => path.replace(frozen.directory, unfinished.directory);
  for (const name of startedNodes) execFileSync('ssh', ['-F', sshConfig, '-O', 'exit', name], { stdio: 'ignore' });
  await Promise.all(startedNodes.map((name) => freezeMachine(nodeLayout(name), within(frozen.memoryOf(name)))));
  for (const name of startedNodes) {
    await reap(name);
    copySparse(overlayOf(name), within(frozen.overlayOf(name)));
  }
  copySparse(sharedDisk, within(frozen.sharedDisk));
  renameSync(unfinished.directory, frozen.directory);
}

/** Wakes a node; its clock stood still. */
async function thawNode(name: NodeName, memory: string): Promise<void> {
  await thawMachine(nodeLayout(name), memory);
  for (let tries = 1; ; tries += 1) {
    try {
      return onNode(name, `date -s @${Math.ceil(Date.now() / 1000)} >/dev/null; ${mountDatastore}`);
    } catch (error) {
      if (tries === 10 || !isRunning(name)) {
        throw new Error(`${name} can't be thawed:\n${readFileSync(nodeLayout(name).console, 'utf8')}`, {
          cause: error,
        });
      }
      await sleep(200);
    }
  }
}

/** The steps of "Each Xen host" in docs/install.md, and `onehost sync`. */
async function installProduct(name: NodeName): Promise<void> {
  const files = [product.helper, product.cxm, product.hook, product.sudoers, product.remotes];
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined) throw new Error(`${missing} is missing: run npm run build first`);
  const text = `set -e
    rm -rf /tmp/cxm && mkdir /tmp/cxm && tar -xf - -C /tmp/cxm && cd /tmp/cxm
    install -o root -g root -m 0755 sbin/cxm sbin/cxmd sbin/cxmd_ctl sbin/cxm-host sbin/one-migrate /usr/local/sbin/
    visudo -q -c -f remotes/etc/cxm/sudoers
    install -o root -g root -m 0440 remotes/etc/cxm/sudoers /etc/sudoers.d/cxm
    mkdir -p /var/tmp/one && cp -R remotes/. /var/tmp/one
    echo 'VG_NAME="${volumeGroup}"' > /var/tmp/one/etc/cxm/cxmrc
    chown -R ${oneadmin.name}: /var/tmp/one && rm -rf /tmp/cxm`;
  const pack = `tar -cf - -C "$1" sbin remotes | ssh -F "$2" "$3" "$4"`;
  const child = spawn('sh', ['-c', pack, 'sh', join(checkout, 'dist'), sshConfig, name, text], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the product could not be installed on ${name}`);
}

function onNode(name: NodeName, text: string): void {
  execFileSync('ssh', ['-n', '-F', sshConfig, name, text], { stdio: ['ignore', 'ignore', 'pipe'], timeout: 120_000 });
}

function copySparse(from: string, to: string): void {
  execFileSync('cp', ['--sparse=always', from, to]);
}
