/**
 * Asking the frontend for documents with OpenNebula's own command line, on the frontend itself or over ssh from a
 * host. Each question is bounded in time, each failure names the question and says whether the frontend was away
 * (HOST_UNREACHABLE), and an answer is parsed before it is believed.
 */
import { CxmError } from '../errors.ts';
import type { CommandResult, Commands } from '../host/commands.ts';
import { parseHost, parseHosts, type HostInfo } from './documents/host.ts';
import { parseImage, type Image } from './documents/image.ts';
import { parseVirtualMachine, type VirtualMachine } from './documents/virtual-machine.ts';
import { printable } from './printable.ts';

/** Where the commands run. */
export type FrontendAccess = {
  /** A question is given up after this time; 30 000 ms when left out. */
  readonly timeoutMs?: number;
} & (
  | { readonly kind: 'local' }
  | {
      readonly kind: 'ssh';
      /** Host name of the frontend, validated. */
      readonly host: string;
      /** The account that owns OpenNebula, oneadmin. */
      readonly user: string;
      /**
       * The local account whose key ssh uses, when this program runs as root: hosts exchange the keys of oneadmin, not
       * those of root. Our own account when left out.
       */
      readonly runAs?: string;
      /** For the connection; 10 s when left out. */
      readonly connectTimeoutSeconds?: number;
    }
);

export interface Frontend {
  /** @throws CxmError HOST_UNREACHABLE, NOT_FOUND, TIMEOUT, COMMAND, INVALID_INPUT; so do all */
  virtualMachine(vmId: number): Promise<VirtualMachine>;
  image(imageId: number): Promise<Image>;
  host(nameOrId: string | number): Promise<HostInfo>;
  hosts(): Promise<readonly HostInfo[]>;
  /** Runs a command of OpenNebula with plain words: letters, digits, dots, hyphens, underscores. */
  run(command: OneCommand, words: readonly string[]): Promise<CommandResult>;
}

export type OneCommand = 'onevm' | 'oneimage' | 'onehost';

const defaultTimeoutMs = 30_000;

/**
 * ssh and OpenNebula's commands both end with 255 when they fail, so the remote line says itself how the command
 * ended. Without this word the command was not reached.
 */
const endMarker = 'cxm-exit:';

export function createFrontend(commands: Commands, access: FrontendAccess): Frontend {
  const run = (command: OneCommand, words: readonly string[]): Promise<CommandResult> =>
    ask(commands, access, command, words);
  const show = async (command: OneCommand, id: string | number): Promise<string> =>
    (await run(command, ['show', '-x', String(id)])).stdout;
  return {
    run,
    virtualMachine: async (vmId) => parseVirtualMachine(await show('onevm', vmId), `the document of VM ${vmId}`),
    image: async (imageId) => parseImage(await show('oneimage', imageId), `the document of image ${imageId}`),
    host: async (host) => parseHost(await show('onehost', host), `the document of host ${host}`),
    hosts: async () => parseHosts((await run('onehost', ['list', '-x'])).stdout),
  };
}

async function ask(
  commands: Commands,
  access: FrontendAccess,
  command: OneCommand,
  words: readonly string[],
): Promise<CommandResult> {
  for (const word of words) assertPlain(word);
  const question = [command, ...words].join(' ');
  const timeoutMs = access.timeoutMs ?? defaultTimeoutMs;
  const options = { timeoutMs, okExitCodes: 'any' } as const;
  if (access.kind === 'local') {
    return accepted(question, 'the frontend', await commands.run(command, words, options));
  }
  const where = `the frontend ${access.host}`;
  const connectTimeout = access.connectTimeoutSeconds ?? 10;
  const sshOptions = ['-o', 'BatchMode=yes', '-o', `ConnectTimeout=${connectTimeout}`];
  // The remote shell splits the line again: plain words come out as they went in.
  const line = `${question}; echo ${endMarker}$?`;
  const ssh = ['ssh', ...sshOptions, '-l', access.user, '--', access.host, line];
  const [program = '', ...argv] = access.runAs === undefined ? ssh : ['runuser', '-u', access.runAs, '--', ...ssh];
  const result = await commands.run(program, argv, options);
  const end = /(?:^|\n)cxm-exit:([0-9]{1,3})\n?$/.exec(result.stdout);
  if (end !== null) {
    return accepted(question, where, {
      ...result,
      stdout: result.stdout.slice(0, end.index),
      exitCode: Number(end[1]),
    });
  }
  throw new CxmError('HOST_UNREACHABLE', `${where} cannot be reached for \`${question}\`: ${said(result)}`, {
    hint: `check that \`ssh ${access.user}@${access.host} true\` works for this user without a password`,
  });
}

/** Sorts the ways in which OpenNebula's commands fail by what they say: their exit code is always the same. */
function accepted(question: string, where: string, result: CommandResult): CommandResult {
  if (result.exitCode === 0) return result;
  const message = said(result);
  if (/refused|failed to open|timed out|timeout|no route|unreachable|reset by peer|bad gateway/i.test(message)) {
    throw new CxmError('HOST_UNREACHABLE', `oned on ${where} does not answer \`${question}\`: ${message}`, {
      hint: 'check that oned runs there',
    });
  }
  if (/Error getting|not found|doesn't exist/i.test(message)) {
    throw new CxmError('NOT_FOUND', `\`${question}\` found nothing on ${where}: ${message}`, {
      hint: 'check the id with the list command of OpenNebula',
    });
  }
  throw new CxmError('COMMAND', `\`${question}\` failed on ${where}: ${message}`, {
    hint: 'run that command there as oneadmin and see what it says',
  });
}

function said(result: CommandResult): string {
  return printable(result.stderr.trim() || result.stdout.trim() || 'no message', 300);
}

function assertPlain(word: string): void {
  if (/^[A-Za-z0-9_.-]{1,255}$/.test(word)) return;
  throw new CxmError('INVALID_INPUT', `'${printable(word)}' cannot be a word of an OpenNebula command`);
}
