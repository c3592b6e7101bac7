/**
 * Configuration files and autostart links of a node, through programs, so that it is the same here and over a connection.
 * Names are checked before they become paths. A link is only replaced or removed if it leads to the VM's configuration:
 * everything else in /etc/xen/auto is an administrator's own.
 */
import { createHash, randomBytes } from 'node:crypto';
import { CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import { nameFault } from '../xen/domain-name.ts';

export interface VmConfig {
  /** The VM's name: that of its file, without `.cfg`. */
  readonly vm: string;
  readonly path: string;
  readonly text: string;
}

export interface NodeFiles {
  /** FQDN or FQDN.cfg; undefined if there is neither. @throws CxmError CONFIG if there are both */
  readConfig(vm: string): Promise<VmConfig | undefined>;
  /** All of them; files that are no VM's by their name are left out. */
  readConfigs(): Promise<readonly VmConfig[]>;
  /** Names of VMs with an autostart link here, with where it leads to. */
  links(): Promise<ReadonlyMap<string, string>>;
  /** @throws CxmError FOREIGN when something else has the link's place */
  setLink(vm: string, configPath: string): Promise<void>;
  /** No link is success; so is one that leads elsewhere, which stays. */
  removeLink(vm: string, configPath: string): Promise<void>;
}

interface LinkFile {
  readonly vm: string;
  readonly file: string;
  readonly target: string;
}

/** More than any configuration is long. */
const maxFileKib = 256;

export class CommandNodeFiles implements NodeFiles {
  constructor(
    private readonly commands: Commands,
    private readonly configDirectory: string,
    private readonly autostartDirectory: string,
  ) {}

  async readConfig(vm: string): Promise<VmConfig | undefined> {
    const name = checkedName(vm);
    const found = await this.read(['(', '-name', name, '-o', '-name', `${name}.cfg`, ')']);
    if (found.length < 2) return found[0];
    throw new CxmError('CONFIG', `VM ${vm} has two configurations: ${found.map(({ path }) => path).join(' and ')}`, {
      hint: 'remove the one that is out of date',
    });
  }

  readConfigs(): Promise<readonly VmConfig[]> {
    return this.read([]);
  }

  /**
   * Every file with its text in one run, also those that links lead to. What separates them nobody can have written into a
   * file beforehand. `-name` takes patterns; names of VMs hold none of their letters.
   */
  private async read(tests: readonly string[]): Promise<VmConfig[]> {
    const word = randomBytes(16).toString('hex');
    const mark = `\0${word}\0`;
    // All three digits of NUL: find would read the word's first ones as a part of a shorter number.
    const printed = `\\000${word}\\000`;
    const size = ['-size', `-${maxFileKib}k`];
    const where = [this.configDirectory, '-maxdepth', '1', '-type', 'f'];
    const what = ['-printf', `${printed}%f\\000`, '-exec', 'cat', '{}', ';'];
    const args = ['-L', ...where, ...tests, ...size, ...what];
    const { stdout, stderr, exitCode } = await this.commands.run('find', args, { okExitCodes: 'any' });
    if (exitCode !== 0 && !isAbsent(stderr)) {
      throw new CxmError('IO', `${this.configDirectory} could not be read: ${stderr.trim().slice(0, 300)}`);
    }
    return stdout
      .split(mark)
      .slice(1)
      .flatMap((part) => {
        const file = part.slice(0, part.indexOf('\0'));
        const vm = file.replace(/\.cfg$/, '');
        if (nameFault(vm) !== undefined) return [];
        return [{ vm, path: `${this.configDirectory}/${file}`, text: part.slice(file.length + 1) }];
      });
  }

  async links(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.linkFiles()).map(({ vm, target }) => [vm, target]));
  }

  /** A VM may have two: FQDN and FQDN.cfg. */
  private async linkFiles(): Promise<readonly LinkFile[]> {
    const printed = ['-printf', '%f\\000%l\\000'];
    const args = ['-H', this.autostartDirectory, '-maxdepth', '1', '-type', 'l', ...printed];
    const { stdout, stderr, exitCode } = await this.commands.run('find', args, { okExitCodes: 'any' });
    if (exitCode !== 0 && !isAbsent(stderr)) {
      throw new CxmError('IO', `${this.autostartDirectory} could not be read: ${stderr.trim().slice(0, 300)}`);
    }
    const words = stdout.split('\0');
    const links: LinkFile[] = [];
    for (let index = 0; index + 1 < words.length; index += 2) {
      const [file = '', target = ''] = words.slice(index, index + 2);
      const vm = file.replace(/\.cfg$/, '');
      if (nameFault(vm) === undefined) links.push({ vm, file, target });
    }
    return links;
  }

  async setLink(vm: string, configPath: string): Promise<void> {
    const present = (await this.linkFiles()).filter((link) => link.vm === checkedName(vm));
    if (present.some(({ target }) => leadsTo(target, configPath))) return;
    if (present[0] !== undefined) throw this.foreign(vm, `leads to ${present[0].target}`);
    await this.commands.run('mkdir', ['-p', this.autostartDirectory]);
    const link = `${this.autostartDirectory}/${vm}`;
    const args = ['-s', '--no-target-directory', '--', configPath, link];
    const { exitCode, stderr } = await this.commands.run('ln', args, { okExitCodes: 'any' });
    if (exitCode === 0) return;
    if (/File exists/.test(stderr)) throw this.foreign(vm, 'is no link');
    throw new CxmError('IO', `${link} could not be made: ${stderr.trim().slice(0, 300)}`);
  }

  async removeLink(vm: string, configPath: string): Promise<void> {
    const present = (await this.linkFiles()).filter((link) => link.vm === checkedName(vm));
    // A file of that name that is no link, as FQDN.cfg beside the link FQDN, is somebody's own.
    const own = present.filter(({ target }) => leadsTo(target, configPath));
    if (own.length === 0) return;
    await this.commands.run('rm', ['-f', '--', ...own.map(({ file }) => `${this.autostartDirectory}/${file}`)]);
  }

  private foreign(vm: string, what: string): CxmError {
    return new CxmError(
      'FOREIGN',
      `${this.autostartDirectory}/${vm} ${what}, so it is not the autostart link of ${vm}`,
      {
        hint: `remove it if nothing else is to be started by it`,
      },
    );
  }
}

/** @throws CxmError INVALID_INPUT */
export function checkedName(vm: string): string {
  const fault = nameFault(vm);
  if (fault === undefined) return vm;
  throw new CxmError('INVALID_INPUT', `${JSON.stringify(vm.slice(0, 100))} is no name of a VM: ${fault}`);
}

/** Tells whether two nodes have the same text. */
export function fingerprint(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function leadsTo(target: string, configPath: string): boolean {
  return target === configPath || baseName(target) === baseName(configPath);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** All that find complains of is not there. */
function isAbsent(stderr: string): boolean {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return lines.length > 0 && lines.every((line) => /No such file or directory/.test(line));
}
