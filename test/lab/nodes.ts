/**
 * Nodes as processes, whatever kind of machine they are: starting, killing, hanging and cutting them off. Used by the
 * supervisor to boot and by tests to break things; must run inside the lab's namespaces.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { bridge, labKind, nodeLayout, sshConfig, type NodeName } from './layout.ts';
import { isRunning, processId, reap } from './node-process.ts';
import { bootUml } from './uml.ts';

const bootTimeoutMs = 120_000;
const bootMachine = labKind === 'xen' ? (await import('../xen-lab/qemu.ts')).bootMachine : bootUml;

/**
 * Boots a node and waits until it answers ssh; nothing happens if it runs. Its disks keep what was synced before.
 * @throws Error with the end of its console if it does not come up
 */
export async function startNode(name: NodeName): Promise<void> {
  if (isRunning(name)) return;
  await reap(name);
  const node = nodeLayout(name);
  await bootMachine(node);
  const deadline = Date.now() + bootTimeoutMs;
  while (!readFileSync(node.console, 'utf8').includes(`READY ${name}`)) {
    if (Date.now() > deadline || !isRunning(name)) {
      throw new Error(`${name} did not come up:\n${readFileSync(node.console, 'utf8').slice(-4000)}`);
    }
    await sleep(20);
  }
  for (let tries = 1; ; tries += 1) {
    try {
      return ssh('-n', name, 'true');
    } catch (error) {
      // A node under load may need longer to its banner than ssh waits.
      if (tries >= 5) throw error;
    }
  }
}

/** Power failure: what was not synced is lost, connections to it hang. */
export async function killNode(name: NodeName): Promise<void> {
  disconnect(name);
  await reap(name);
}

/** The node hangs, as under a stalled hypervisor; `contNode` wakes it. */
export function stopNode(name: NodeName): void {
  process.kill(processId(name), 'SIGSTOP');
}

export function contNode(name: NodeName): void {
  process.kill(processId(name), 'SIGCONT');
}

const cutOff = new Set<NodeName>();

/** Takes the node off the network; it goes on working. */
export function cutNode(name: NodeName): void {
  cutOff.add(name);
  execFileSync('ip', ['link', 'set', nodeLayout(name).tap, 'nomaster']);
}

export function healNode(name: NodeName): void {
  execFileSync('ip', ['link', 'set', nodeLayout(name).tap, 'master', bridge]);
  // Over the old connection it may take as long again until something arrives.
  if (cutOff.delete(name)) disconnect(name);
}

function ssh(...args: readonly string[]): void {
  execFileSync('ssh', ['-F', sshConfig, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function disconnect(name: NodeName): void {
  try {
    execFileSync('ssh', ['-F', sshConfig, '-O', 'exit', name], { stdio: 'ignore' });
  } catch {
    // no connection was open
  }
}
