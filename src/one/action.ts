/**
 * The prologue of every driver action: configuration, report, helper, and the end with its exit code. An action is a
 * name and a function; it throws a CxmError to fail and returns what oned reads on standard output.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname } from 'node:path';
import { callHelper, type Call, type Route } from '../agent/client.ts';
import { fileLock } from '../agent/lock.ts';
import type { Cxmrc } from '../config/cxmrc.ts';
import { parseSettings, resolveCxmrc, settingsToRecord, type Settings } from '../config/load.ts';
import { asCxmError, CxmError } from '../errors.ts';
import { localCommands, type Commands } from '../host/commands.ts';
import { createReport, errorForm, type Report } from './report.ts';
import { readInput } from './standard-input.ts';

export interface ActionContext {
  /** The action's arguments as oned passed them. */
  readonly argv: readonly string[];
  /** All of standard input; empty on a terminal, and when it has not begun in time (see readInput). */
  standardInput(beginsWithinMs?: number): Promise<string>;
  readonly config: Cxmrc;
  readonly report: Report;
  readonly commands: Commands;
  /** Where actions keep locks and notes from one call to the next. */
  readonly stateDirectory: string;
  /** The name of this machine. */
  readonly hostName: string;
  /** Name of the driver as oned knows it: that of the directory in which the action lies. */
  readonly driverName: string;
  /** One conversation with the helper, here (sudo) or on a host (ssh). */
  helper(where: 'here' | { readonly host: string }, call: HelperCall): Promise<unknown>;
}

/** A call of which the context knows the rest: settings, lock, log. */
export type HelperCall = Pick<Call, 'operation' | 'parameters' | 'send' | 'receive' | 'inPieces' | 'answer'>;

export interface Action {
  readonly name: string;
  /** What is returned goes to standard output, with a newline. */
  run(context: ActionContext): Promise<string | undefined>;
}

/** Where cxmrc is looked for, relative to remotes; the first that exists counts. */
const configurationFiles = ['etc/cxm/cxmrc', 'cxmrc'];

/**
 * Runs an action as a process: the exit code is 0 or 1, the error stands on standard error in oned's form.
 * @param actionFile absolute path of the executable, `<remotes>/tm/cxm/clone`
 */
export async function runAction(action: Action, actionFile: string, argv: readonly string[]): Promise<void> {
  const form = errorForm(actionFile, process.env.ONE_LOCATION, (path) => readFileSync(path, 'utf8'));
  const write = (text: string): void => void process.stderr.write(text);
  const report = createReport({ action: action.name, write, form, debug: process.env.CXM_DEBUG === '1' });
  try {
    const context = createContext(action.name, actionFile, argv, (debug) =>
      createReport({ action: action.name, write, form, debug }),
    );
    const output = await action.run(context);
    if (output !== undefined) process.stdout.write(`${output}\n`);
  } catch (error) {
    report.fail(asCxmError(error));
    process.exitCode = 1;
  }
}

function createContext(
  name: string,
  actionFile: string,
  argv: readonly string[],
  reportFor: (debug: boolean) => Report,
): ActionContext {
  const directories = actionFile.split('/');
  const remotes = directories.slice(0, -3).join('/');
  const settings = readConfiguration(remotes);
  const config = resolveCxmrc(settings);
  const report = reportFor(config.DEBUG || process.env.CXM_DEBUG === '1');
  report.debug(`called as ${name} ${argv.map((word) => (word.length > 200 ? '...' : word)).join(' ')}`);
  const stateDirectory = stateDirectoryOf(remotes);
  const lock = fileLock(`${stateDirectory}/lock/${config.VG_NAME}`, config.LOCK_TIMEOUT);
  return {
    argv,
    standardInput: (beginsWithinMs) =>
      process.stdin.isTTY ? Promise.resolve('') : readInput(process.stdin, beginsWithinMs),
    config,
    report,
    commands: localCommands,
    stateDirectory,
    hostName: hostname(),
    driverName: directories.at(-2) ?? 'cxm',
    helper: (where, call) => {
      const route: Route =
        where === 'here'
          ? { kind: 'sudo' }
          : { kind: 'ssh', host: where.host, connectTimeoutSeconds: config.CONNECT_TIMEOUT };
      const log = (severity: 'INFO' | 'DEBUG' | 'WARN', text: string): void => {
        if (severity === 'INFO') report.info(text);
        else if (severity === 'WARN') report.warn(text);
        else report.debug(text);
      };
      return callHelper(route, { ...call, settings: settingsToRecord(settings), lock, log });
    },
  };
}

/** Beside the frontend's remotes; on hosts, where remotes are a copy in /var/tmp, nobody else's to make: within. */
function stateDirectoryOf(remotes: string): string {
  return basename(remotes) === 'remotes' ? `${dirname(remotes)}/.cxm` : `${remotes}/.cxm`;
}

function readConfiguration(remotes: string): Settings {
  for (const file of configurationFiles) {
    const path = `${remotes}/${file}`;
    try {
      return parseSettings(readFileSync(path, 'utf8'), path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  throw new CxmError(
    'CONFIG',
    `there is no configuration: neither ${remotes}/etc/cxm/cxmrc nor ${remotes}/cxmrc exists`,
    {
      hint: 'copy cxmrc.example there as cxmrc and set VG_NAME',
    },
  );
}
