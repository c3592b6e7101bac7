/**
 * A node for readings: a directory with its /proc and /sys, and shell scripts under the names of its programs that print
 * recordings. What reads it runs the real script with the real shell.
 */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { localCommands, type Commands } from '../../src/host/commands.ts';

export class NodeStandIn {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async make(): Promise<NodeStandIn> {
    const node = new NodeStandIn(await mkdtemp(join(tmpdir(), 'cxm-node-')));
    await mkdir(join(node.root, 'bin'));
    return node;
  }

  /** Programs of this machine are found after those of the node. */
  get commands(): Commands {
    const env = { PATH: `${join(this.root, 'bin')}:${process.env['PATH'] ?? ''}` };
    return { run: (program, args, options) => localCommands.run(program, args, { ...options, env }) };
  }

  async file(path: string, text: string): Promise<void> {
    const full = join(this.root, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, text);
  }

  /** @param script the lines of a shell script */
  async program(name: string, script: string): Promise<void> {
    await this.file(`bin/${name}`, `#!/bin/sh\n${script}\n`);
    await chmod(join(this.root, 'bin', name), 0o755);
  }

  /** A program that prints this, whatever it is asked. */
  prints(name: string, stdout: string, end = 'exit 0'): Promise<void> {
    return this.program(name, `cat <<'END OF OUTPUT'\n${stdout.replace(/\n$/, '')}\nEND OF OUTPUT\n${end}`);
  }

  remove(): Promise<void> {
    return rm(this.root, { recursive: true, force: true });
  }
}
