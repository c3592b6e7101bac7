/**
 * oned 7.x on the lab's frontend: the stand-in of the sandbox, which calls the drivers in oned's order and with its
 * quoting, here as oneadmin with oned's bare environment, against real hosts.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { layoutOf, nodeOf, type Layout } from '../../src/sandbox/layout.ts';
import {
  CallFailed,
  hereDocument,
  quoted,
  shellWord,
  type Caller,
  type CallResult,
} from '../../src/sandbox/one/calls.ts';
import { Lifecycle } from '../../src/sandbox/one/lifecycle.ts';
import { writeRecords } from '../../src/sandbox/one/record-files.ts';
import type { ImageRecord, NicRecord, VmRecord } from '../../src/sandbox/one/records.ts';
import { lab } from '../lab/lab.ts';
import { oneadmin } from '../lab/layout.ts';
import { guestInitramfs, guestKernel, macOf } from './guest.ts';

const sandbox = layoutOf('/nonexistent');
const home = oneadmin.home;
export const layout: Layout = {
  ...sandbox,
  one: home,
  remotes: join(home, 'remotes'),
  datastores: join(home, 'datastores'),
  oned: join(home, 'oned'),
  nodes: sandbox.nodes.map((node) => ({ ...node, scripts: '/var/tmp/one' })),
};

export interface Cloud {
  readonly one: Lifecycle;
  readonly caller: Caller;
  /** Every call so far; forgotten by a test that has looked. */
  readonly calls: CallResult[];
}

/** An oned that knows nothing yet. */
export function startCloud(): Cloud {
  mkdirSync(layout.oned, { recursive: true });
  writeRecords(layout, { vms: [], images: [] });
  const calls: CallResult[] = [];
  const caller = createLabCaller(calls);
  return { one: new Lifecycle(layout, caller), caller, calls };
}

function createLabCaller(calls: CallResult[]): Caller {
  type Call = Pick<CallResult, 'kind' | 'action' | 'args' | 'machine'>;
  const run = async (call: Call, argv: readonly string[], input: string): Promise<CallResult> => {
    const start = performance.now();
    const { exitCode, stdout, stderr } = await lab.frontend(argv, { input, timeoutMs: 300_000 });
    const durationMs = performance.now() - start;
    const result: CallResult = { ...call, exitCode, stdout, stderr, durationMs, sentBytes: 0 };
    calls.push(result);
    if (exitCode === 0) return result;
    const failed = new CallFailed(result);
    failed.message = `${failed.message}\n${stderr}${stdout}`;
    throw failed;
  };
  // oned's driver runs at a lower priority.
  const onHost = (host: string): string[] => ['nice', '-n', '10', 'ssh', '-o', 'ControlMaster=no', host, 'bash', '-s'];
  return {
    transfer: (action, args, standardInput = '') => {
      const line = [join(layout.remotes, 'tm/cxm', action), ...args].map(shellWord).join(' ');
      return run(
        { kind: 'tm', action, args, machine: 'frontend' },
        ['nice', '-n', '10', 'sh', '-c', line],
        standardInput,
      );
    },
    machine: (host, action, args, data, prepare = '') => {
      const script = join(nodeOf(layout, host).scripts, 'vmm/cxm', action);
      const call = { kind: 'vmm', action, args, machine: host } as const;
      return run(call, onHost(host), `${prepare}${hereDocument(data, script, args)}`);
    },
    probe: (host, path) => {
      const { scripts, hostId } = nodeOf(layout, host);
      const words = [join(scripts, 'im', path), 'cxm', String(hostId), host];
      const call = { kind: 'im', action: path, args: [], machine: host } as const;
      return run(call, onHost(host), `${words.map(quoted).join(' ')} </dev/null`);
    },
    hook: (host, args) => {
      const call = { kind: 'hook', action: 'one-migrate', args, machine: host } as const;
      return run(call, onHost(host), ['/usr/local/sbin/one-migrate', ...args].map(quoted).join(' '));
    },
  };
}

export function imageRecord(id: number, name: string, details: Partial<ImageRecord> = {}): ImageRecord {
  const source = join(layout.datastores, String(lab.datastores.image), name);
  return { id, name, source, sizeMb: 8, persistent: false, ...details };
}

export function nicRecord(nicId: number, address: string): NicRecord {
  return { nicId, mac: macOf(address), ip: address, bridge: 'xenbr0' };
}

/** A VM of the lab's guest with its root disk from an image, one NIC and a contextualisation CD. */
export function vmRecord(id: number, image: ImageRecord, address: string, details: Partial<VmRecord> = {}): VmRecord {
  lab.writeFrontend(join(layout.one, 'vms', String(id), 'context.sh'), `HOSTNAME='guest${id}'\nETH0_IP='${address}'\n`);
  return {
    id,
    name: `guest${id}`,
    user: 'alice',
    state: 'HOLD',
    deployId: '',
    cpu: 1,
    vcpu: 1,
    // Each disk and card that comes to a running guest takes of it.
    memoryMb: 128,
    disks: [{ diskId: 0, imageId: image.id, target: 'xvda', sizeMb: image.sizeMb }],
    nics: [nicRecord(0, address)],
    contextDisk: 1,
    os: { KERNEL: guestKernel, INITRD: guestInitramfs, ROOT: 'xvda', KERNEL_CMD: 'console=hvc0 quiet' },
    headless: true,
    history: [],
    ...details,
  };
}
