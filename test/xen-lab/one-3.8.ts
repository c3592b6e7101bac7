/**
 * oned 3.8 on the lab's frontend: the calls that a real one made (test/fixtures/one/3.8) are made again, in their order,
 * with its arguments, documents and way of quoting, against real hosts. Only what names the recorder's world is changed:
 * hosts, images, addresses, kernels and sizes; and what only costs time is left out: a volatile disk, swap, and the
 * screen, for which the nodes have no device model.
 */
import { join } from 'node:path';
import { imageDocument } from '../../src/sandbox/one/documents.ts';
import type { ImageRecord } from '../../src/sandbox/one/records.ts';
import { recordedCalls, type Call } from '../replay/calls.ts';
import { documentOf } from '../replay/documents.ts';
import { lab } from '../lab/lab.ts';
import { oneadmin } from '../lab/layout.ts';
import { guestInitramfs, guestKernel, macOf } from './guest.ts';

const home = oneadmin.home;
const calls = recordedCalls('3.8');

export interface Said {
  readonly call: Call;
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where drivers of 3.8 find what tells them how to word errors; its oned sets ONE_LOCATION. */
const oneLocation = join(home, 'location');

/** What an administrator of 3.8 sets (docs/opennebula-3.md): documents are asked for, from hosts too. */
export async function configure38(): Promise<void> {
  const settings = `VG_NAME="${lab.volumeGroup}"\nONE_HOST="frontend"\nFRONTEND_NAMES="vm"\nVM_FQDN_TEMPLATE="%V-%I.%U"\n`;
  lab.writeFrontend(join(oneLocation, 'lib/sh/scripts_common.sh'), 'echo "ERROR MESSAGE --8<------"\n');
  lab.writeFrontend(join(home, 'remotes/etc/cxm/cxmrc'), settings);
  for (const node of ['node1', 'node2'] as const) {
    const files = `cat > /var/tmp/one/etc/cxm/cxmrc; echo '# --8<------' > /var/tmp/one/scripts_common.sh`;
    await lab.node(node, files, { input: settings });
  }
}

/** An image under the recorder's number. */
export function register38(image: ImageRecord): void {
  lab.prepareImage(image.id, imageDocument(image, join(home, 'datastores'), []));
}

export class One38 {
  private readonly deployIds = new Map<number, string>();

  constructor(
    /** Sources of the images by the recorder's number, for each VM. */
    private readonly images: (vmId: number, imageId: number) => string,
    private readonly addresses: Readonly<Record<number, string>>,
  ) {}

  /** Makes the calls of a scenario one after the other, up to one that fails. @throws Error with what it said */
  async scenario(name: string, which: (call: Call) => boolean = () => true): Promise<readonly Said[]> {
    const done: Said[] = [];
    for (const call of callsOf(name).filter(which)) done.push(expectSuccess(await this.make(call)));
    return done;
  }

  /** 3.8 does not wait for the one driver before it asks the other. */
  async together(name: string, which: (call: Call) => boolean): Promise<readonly Said[]> {
    const chain = async (driver: 'tm' | 'vmm'): Promise<readonly Said[]> => {
      const done: Said[] = [];
      for (const call of callsOf(name).filter((one) => one.driver === driver && which(one))) {
        done.push(await this.make(call));
      }
      return done;
    };
    return (await Promise.all([chain('tm'), chain('vmm')])).flat();
  }

  async make(call: Call): Promise<Said> {
    const { driver, action, vmId = -1 } = call;
    const machine = documentOf(calls, calls.indexOf(call));
    if (machine !== undefined) lab.prepareVm(vmId, `${this.text(machine, vmId)}\n`);
    if (action === 'context') {
      lab.writeFrontend(join(home, 'vms', String(vmId), 'context.sh'), `HOSTNAME='probe${vmId}'\n`);
    }
    const argv = call.argv.map((word, index) => this.word(word, call, index)).join(' ');
    // 3.8 joins the words as they are.
    const result =
      driver === 'tm'
        ? await lab.frontend(['nice', '-n', '19', 'sh', '-c', `${home}/remotes/tm/cxm/${action} ${argv}`], {
            env: { ONE_LOCATION: oneLocation },
            timeoutMs: 300_000,
          })
        : await this.onHost(call, `/var/tmp/one/vmm/cxm/${action} ${argv}`);
    if (action === 'deploy' && result.exitCode === 0) this.deployIds.set(vmId, result.stdout.trim());
    return { call, ...result };
  }

  deployId(vmId: number): string {
    return this.deployIds.get(vmId) ?? '';
  }

  /** Its here-document is not quoted: the shell of the host expands what is in it. */
  private async onHost(call: Call, command: string): Promise<Omit<Said, 'call'>> {
    const vmId = call.vmId ?? -1;
    const data = this.text(call.standardInput, vmId);
    const shell = lab.shellOn(this.text(call.argv.at(-1) ?? '', vmId), 300_000);
    try {
      return data === '' ? await shell.run(command) : await shell.run(`cat << EOT | ${command}`, `${data}\nEOT\n`);
    } finally {
      await shell.end();
    }
  }

  private word(word: string, call: Call, index: number): string {
    const vmId = call.vmId ?? -1;
    if (call.document !== undefined && word === Buffer.from(call.document).toString('base64')) {
      return Buffer.from(this.text(call.document, vmId)).toString('base64');
    }
    const isSize = (call.action === 'mkimage' || call.action === 'mkswap') && index === 0;
    if (isSize) return sizes[word] ?? word;
    if (word === '101' || word === '102') return word === '101' ? '1' : '0';
    if (call.driver === 'vmm' && word === `one-${vmId}`) return this.deployIds.get(vmId) ?? word;
    return this.text(word, vmId);
  }

  /** A document, a deployment file or a word. */
  private text(text: string, vmId: number): string {
    const address = this.addresses[vmId] ?? '';
    return (
      text
        .replaceAll('/datastores/102/', '/datastores/0/')
        .replace(/\bhost01\b/g, 'node1')
        .replace(/\bhost02\b/g, 'node2')
        .replace(/probevg\.lv-one-(\d+)/g, (_all, image: string) => this.images(vmId, Number(image)))
        .replaceAll('02:00:0a:63:00:01', macOf(address))
        .replaceAll('10.99.0.1', address)
        .replace(/\bbr0\b/g, 'xenbr0')
        .replaceAll('/boot/vmlinuz', guestKernel)
        .replaceAll('/boot/initrd', guestInitramfs)
        .replaceAll('xvda1', 'xvda')
        .replace(/\bhda\b/g, 'xvdz')
        // Linux calls sda and xvda the same, so that a PV guest with both connects one of them only.
        .replace(/\bsda\b/g, 'xvdf')
        .replace(/^vfb = .*\n/m, '')
        .replace(/^ *'tap:aio:\S*,xvd[cd],w',\n/gm, '')
        .replace(/ *<DISK>(?:(?!<\/DISK>)[^])*<TARGET><!\[CDATA\[xvd[cd]\][^]*?<\/DISK>\n/g, '')
        .replace(/<GRAPHICS>[^]*?<\/GRAPHICS>/, '')
        .replace(/(memory *= *')256|(<MEMORY><!\[CDATA\[)256/g, '$1$2128')
        .replace(/(vcpus *= *')2|(<VCPU><!\[CDATA\[)2/g, '$1$21')
        .replace(/(<SIZE><!\[CDATA\[)(\d+)/g, (_all, start: string, size: string) => `${start}${sizes[size] ?? size}`)
        .replace(/(<DEPLOY_ID>)one-\d+(?=<)/, `$1${this.deployIds.get(vmId) ?? `one-${vmId}`}`)
    );
  }
}

/** Mebibytes of volatile disks; an emulated processor writes slowly. */
const sizes: Readonly<Record<string, string>> = { '50': '8' };

function callsOf(scenario: string): readonly Call[] {
  const found = calls.filter((call) => call.scenario === scenario && !isLeftOut(call));
  if (found.length === 0) throw new Error(`nothing was recorded of ${scenario}`);
  return found;
}

/** Of VM 1 these are disks 2 and 3, of the others 1 and 2. */
function isLeftOut({ vmId, argv }: Call): boolean {
  const disks = vmId === 1 ? ['2', '3'] : ['1', '2'];
  return argv.some((word) => disks.includes(/\/disk\.(\d+)$/.exec(word)?.[1] ?? ''));
}

function expectSuccess(said: Said): Said {
  if (said.exitCode === 0) return said;
  const { call, exitCode, stdout, stderr } = said;
  throw new Error(`${call.file}: ${call.driver}/${call.action} ended with ${exitCode}:\n${stderr}${stdout}`);
}
