/**
 * Where the replay happens: a sandbox with its own configuration, images and documents, in which the built drivers run as
 * child processes, called as oned calls them. Faults are put in and taken out here.
 */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { frontendName, layoutOf, nodeOf, type Layout } from '../../src/sandbox/layout.ts';
import { frontendEnvironment } from '../../src/sandbox/one/calls.ts';
import { hostPoolDocument, imageDocument } from '../../src/sandbox/one/documents.ts';
import type { ImageRecord } from '../../src/sandbox/one/records.ts';
import { prepareSandbox } from '../../src/sandbox/prepare.ts';
import { removeSandbox } from '../../src/sandbox/remove.ts';
import type { Knobs } from '../../src/sandbox/xl/knobs.ts';
import type { OneVersion } from '../support/recordings.ts';
import { ShellStream, type ShellAnswer } from '../support/shell-stream.ts';
import type { Call } from './calls.ts';
import { frontendNames, type Translated } from './translate.ts';

export type Said = ShellAnswer;

/** Of the images that the recorded VMs use; the others are copies of the first. */
export const imageKinds = { archive: 96, raw: 64, data: 128 } as const;
export type ImageKind = keyof typeof imageKinds;

const built = fileURLToPath(new URL('../../dist/', import.meta.url));
const quickKnobs: Partial<Knobs> = {
  shutdownDelayMs: 20,
  teardownMs: 20,
  migrateCopyMs: 50,
  ignoreMissingKernel: true,
};

export class Ground {
  private constructor(
    readonly layout: Layout,
    private readonly version: OneVersion,
  ) {}

  static make(version: OneVersion): Ground {
    if (!existsSync(join(built, 'sandbox/cxm-host'))) throw new Error('the drivers are not built: run `npm run build`');
    const layout = withConfigurations(version, layoutOf(mkdtempSync(join(tmpdir(), `cxm-replay-${version}-`))));
    prepareSandbox(layout, built, { root: process.getuid?.() === 0, mounts: false, zstd: true });
    const ground = new Ground(layout, version);
    ground.configure();
    ground.makeImages();
    return ground;
  }

  end(): Promise<void> {
    return removeSandbox(this.layout.directory);
  }

  private configure(): void {
    const { layout, version } = this;
    const settings = {
      VG_NAME: 'VG0',
      VM_FQDN_TEMPLATE: '%V-%I.%U',
      MODE: 'TZST',
      CLOUD_NAME: 'replay',
      FRONTEND_NAMES: frontendNames.join(' '),
      // Whom the hosts ask for a document that 3.8 does not send.
      ONE_HOST: frontendName,
      SHUTDOWN_TIMEOUT: '20',
      BUSY_TIMEOUT: '10',
      DEBUG: 'yes',
    };
    const text = Object.entries(settings).map(([key, value]) => `${key}="${value}"\n`);
    // What tells the form in which this version takes errors; up to 6.0 with markers.
    const form = version === '3.8' ? 'echo "ERROR MESSAGE --8<------"\n' : 'echo "$1"\n';
    mkdirSync(join(layout.one, 'location/lib/sh'), { recursive: true });
    writeFileSync(join(layout.one, 'location/lib/sh/scripts_common.sh'), form);
    for (const remotes of [layout.remotes, ...layout.nodes.map(({ scripts }) => scripts)]) {
      writeFileSync(join(remotes, 'etc/cxm/cxmrc'), text.join(''));
      if (version !== '3.8' || remotes !== layout.remotes) writeFileSync(join(remotes, 'scripts_common.sh'), form);
    }
    for (const { name } of layout.nodes) this.turn(name, {});
    writeFileSync(join(layout.oned, 'hosts.xml'), hostPoolDocument(layout.nodes));
    mkdirSync(join(layout.temporary, 'scratch'));
  }

  /** Image 1 of 7.x and 0 of 3.8 is an archive of files, the next is raw and persistent, the third raw data. */
  private makeImages(): void {
    const first = this.version === '3.8' ? 0 : 1;
    const directory = join(this.layout.datastores, 'images');
    mkdirSync(directory);
    const tree = join(this.layout.temporary, 'scratch/tree');
    mkdirSync(join(tree, 'etc'), { recursive: true });
    writeFileSync(join(tree, 'marker'), 'archive 0');
    writeFileSync(join(tree, 'etc/hostname'), 'guest\n');
    const owner = ['--numeric-owner', '--owner=0', '--group=0'];
    const archive = this.image(first);
    execFileSync('tar', ['--create', '--gzip', `--file=${archive}`, `--directory=${tree}`, ...owner, '.']);
    for (const [index, kind] of (['raw', 'data'] as const).entries()) {
      writeFileSync(this.image(first + 1 + index), `cxm-replay ${kind} 0\n`);
      truncateSync(this.image(first + 1 + index), imageKinds[kind] * 1024 ** 2);
    }
    for (const [index, kind] of (['archive', 'raw', 'data'] as const).entries()) this.document(first + index, kind);
    // 7.x registers the system image again and again, under other datastores.
    for (const id of [8, 12, 13, 14]) {
      execFileSync('cp', [archive, this.image(id)]);
      this.document(id, 'archive');
    }
  }

  image(imageId: number): string {
    return join(this.layout.datastores, 'images', `image-${imageId}`);
  }

  private document(id: number, kind: ImageKind): void {
    const image: ImageRecord = {
      id,
      name: kind,
      source: this.image(id),
      sizeMb: kind === 'archive' ? 1 : imageKinds[kind],
      persistent: kind === 'raw',
      ...(kind === 'archive' && { size: `${imageKinds.archive}M`, fileSystemType: 'ext4' }),
    };
    writeFileSync(join(this.layout.oned, `image-${id}.xml`), imageDocument(image, this.layout.datastores, []));
  }

  /** What the frontend answers when it is asked for the VM. */
  setMachine(vmId: number, document: string): void {
    writeFileSync(join(this.layout.oned, `vm-${vmId}.xml`), `${document}\n`);
  }

  /** oned writes the variables anew before it has the context made. */
  setContext(vmId: number, generation: number): void {
    const directory = join(this.layout.one, 'vms', String(vmId));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'context.sh'), `# Context variables of VM ${vmId}\nGENERATION='${generation}'\n`);
  }

  /** From 6.0 on oned writes the VM's document to its directory before a deploy. */
  leaveDocument(directory: string, document: string): void {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'vm.xml'), document);
  }

  /** Makes the call as oned makes it. @param node of the VMM's actions, which run on a host */
  run(call: Call, words: Translated, node: string): Promise<Said> {
    const { layout } = this;
    if (call.driver === 'vmm') {
      const script = join(nodeOf(layout, node).scripts, 'vmm/cxm', call.action);
      return this.inShellOf(node, [script, ...words.argv], words.standardInput);
    }
    const action = join(layout.remotes, 'tm/cxm', call.action);
    const shell = [action, ...words.argv].map(shellWord).join(' ');
    const recorded = Object.fromEntries(call.environment);
    const environment = { ...recorded, ...frontendEnvironment(layout, false) };
    return this.spawn(['sh', '-c', shell], words.standardInput, {
      ...environment,
      ONE_LOCATION: join(layout.one, 'location'),
    });
  }

  /** A command in a shell on a node that stays open until it has ended: it has the shell's input when it gets no data. */
  private async inShellOf(node: string, command: readonly string[], data: string): Promise<Said> {
    const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    const stream = new ShellStream(this.start(shellOn(node), frontendEnvironment(this.layout, false)));
    try {
      // The data can't leave its document, since the mark that ends it is quoted.
      return data === '' ? await stream.run(words) : await stream.run(`cat << 'EOT' | ${words}`, `${data}\nEOT\n`);
    } finally {
      await stream.end();
    }
  }

  /** A script of the shell on a node. */
  overSsh(node: string, script: string): Promise<Said> {
    return this.spawn(shellOn(node), script, frontendEnvironment(this.layout, false));
  }

  private start([program = '', ...args]: string[], env: Record<string, string>): ChildProcessWithoutNullStreams {
    return spawn(program, args, { cwd: this.layout.one, env, stdio: 'pipe' });
  }

  private spawn(words: string[], input: string, env: Record<string, string>): Promise<Said> {
    const child = this.start(words, env);
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text));
    }
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve({ ...said, exitCode: code ?? 255 }));
    });
  }

  turn(node: string, knobs: Partial<Knobs>): void {
    writeFileSync(join(nodeOf(this.layout, node).xen, 'knobs.json'), JSON.stringify({ ...quickKnobs, ...knobs }));
  }

  setDown(node: string, down: boolean): void {
    const { downFile } = nodeOf(this.layout, node);
    if (down) writeFileSync(downFile, '');
    else rmSync(downFile, { force: true });
  }

  /** Without the drivers' line in sudoers nothing on the hosts may be done. */
  takeRights(taken: boolean): void {
    const sudo = join(this.layout.nodePrograms, 'sudo');
    if (taken) {
      renameSync(sudo, `${sudo}.away`);
      writeFileSync(sudo, '#!/bin/sh\necho "sudo: a password is required" >&2\nexit 1\n', { mode: 0o755 });
    } else renameSync(`${sudo}.away`, sudo);
  }

  hideImage(imageId: number, hidden: boolean): void {
    const path = this.image(imageId);
    if (hidden) renameSync(path, `${path}.away`);
    else renameSync(`${path}.away`, path);
  }
}

/** The hosts of the old frontend keep their configurations together, as a cluster does, those of the new one apart. */
function withConfigurations(version: OneVersion, layout: Layout): Layout {
  if (version === '3.8') return layout;
  const nodes = layout.nodes.map((node) => ({ ...node, configDirectory: join(node.directory, 'etc/xen/vm') }));
  return { ...layout, nodes };
}

function shellOn(node: string): string[] {
  return ['ssh', '-o', 'ControlMaster=no', node, 'bash', '-s'];
}

function shellWord(word: string): string {
  return word === '' ? "''" : word.replace(/[^A-Za-z0-9_\-.,:+/@\n]/g, '\\$&');
}
