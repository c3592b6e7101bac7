/**
 * One call of cxm from its words to its exit code. Whatever happens ends here: errors are printed and mapped, the cluster
 * is closed, and an interrupted run stops before the next step that it could not take back.
 */
import { asCxmError, CxmError } from '../errors.ts';
import { commandTable } from './command-table.ts';
import { commands } from './commands.ts';
import { CommandContext } from './context.ts';
import type { CliEnvironment } from './environment.ts';
import { exitCodeOf, exitCodes, type ExitCode } from './exit-codes.ts';
import { failureJson, renderFailure } from './failure.ts';
import { renderCommandHelp, renderHelp } from './help.ts';
import { warnOfMembership } from './membership.ts';
import { parseCall, type Call } from './parse.ts';
import { Progress } from './progress.ts';
import { styleOf } from './style.ts';
import { version } from './version.ts';

export async function runCxm(argv: readonly string[], environment: CliEnvironment): Promise<ExitCode> {
  const { stdout, stderr, env } = environment.terminal;
  let call: Call | undefined;
  try {
    call = parseCall(argv);
    if (call.kind === 'version') {
      stdout.write(`cxm ${version}\n`);
      return exitCodes.done;
    }
    if (call.kind === 'help') {
      const style = styleOf(call.asked ? stdout : stderr, env);
      const text = call.command === undefined ? renderHelp(style) : renderCommandHelp(call.command, style);
      (call.asked ? stdout : stderr).write(text);
      return call.asked ? exitCodes.done : exitCodes.usage;
    }
    return await runCommand(call, environment);
  } catch (error) {
    const failure = asCxmError(error);
    const wantsJson = call?.kind === 'run' && call.options.json;
    if (wantsJson) stdout.write(`${JSON.stringify(failureJson(failure), null, 2)}\n`);
    stderr.write(renderFailure(failure, styleOf(stderr, env), call?.kind === 'run' && call.options.debug));
    return exitCodeOf(failure.code);
  }
}

type Run = Extract<Call, { kind: 'run' }>;

async function runCommand(call: Run, environment: CliEnvironment): Promise<ExitCode> {
  const { stdout, stderr, env } = environment.terminal;
  const options = withConfiguredQuiet(call, environment);
  const progress = new Progress(stderr, styleOf(stderr, env), options.quiet);
  const interruption = interruptionOf(environment, progress);
  const context = new CommandContext(
    environment,
    options,
    call.operands,
    progress,
    styleOf(stdout, env),
    interruption.signal,
    commandTable[call.command].group !== 'Look',
  );
  try {
    if (!standalone.has(call.command)) await warnOfMembership(environment, options.quiet);
    const body = await commands[call.command]();
    const code = await Promise.race([body(context), interruption.left]);
    progress.finish('done');
    return code;
  } catch (error) {
    progress.finish('failed');
    throw error;
  } finally {
    interruption.stop();
    await context.close();
  }
}

interface Interruption {
  /** Aborted at the first interruption: no further step is begun. */
  readonly signal: AbortSignal;
  /** Rejected when the run is to be left at once: nothing was begun, or the user insists. */
  readonly left: Promise<never>;
  stop(): void;
}

function interruptionOf(environment: CliEnvironment, progress: Progress): Interruption {
  const controller = new AbortController();
  let leave: (error: CxmError) => void = () => undefined;
  const left = new Promise<never>((_, reject) => (leave = reject));
  left.catch(() => undefined);
  const stop = environment.onInterrupt(() => {
    const changed = progress.begun ? 'maybe' : 'nothing';
    const error = new CxmError('INTERRUPTED', 'interrupted', { changed, hint: '' });
    if (!progress.begun || controller.signal.aborted) leave(error);
    else
      progress.note('WARN', 'interrupted: the step under way is ended, and no further one begun; again leaves at once');
    controller.abort(error);
  });
  return { signal: controller.signal, left, stop };
}

/** What has nothing to do with the cluster, or says itself what is wrong with it. */
const standalone: ReadonlySet<string> = new Set(['config', 'completion', 'doctor']);

/** QUIET of cxm.conf is as --quiet, but a broken file must not keep `config check` from saying so. */
function withConfiguredQuiet({ command, options }: Run, environment: CliEnvironment): Run['options'] {
  if (options.quiet || standalone.has(command)) return options;
  const { configuration } = environment.configuration();
  return { ...options, quiet: configuration.QUIET, debug: options.debug || configuration.API_DEBUG };
}
