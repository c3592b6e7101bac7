/** One call of cxmd_ctl from its words to its exit code. Whatever happens ends here: errors are printed and mapped. */
import { asCxmError } from '../../errors.ts';
import { exitCodeOf, exitCodes, type ExitCode } from '../exit-codes.ts';
import type { CliTerminal } from '../environment.ts';
import { failureJson, renderFailure } from '../failure.ts';
import { styleOf } from '../style.ts';
import { version } from '../version.ts';
import { ctlBodies } from './actions.ts';
import { CtlContext } from './context.ts';
import { renderCtlHelp } from './help.ts';
import { parseCtlCall, type CtlCall } from './parse.ts';

export async function runCtl(
  words: readonly string[],
  terminal: CliTerminal,
  question: (text: string) => Promise<string | undefined>,
): Promise<ExitCode> {
  const { stdout, stderr, env } = terminal;
  let context: CtlContext | undefined;
  let call: CtlCall | undefined;
  try {
    call = parseCtlCall(words);
    if (call.action === 'version') stdout.write(`cxmd_ctl ${version}\n`);
    else if (call.action === 'help') stdout.write(renderCtlHelp(styleOf(stdout, env)));
    else {
      context = new CtlContext(call, terminal, question);
      return await ctlBodies[call.action](context);
    }
    return exitCodes.done;
  } catch (error) {
    const failure = asCxmError(error);
    if (call?.modifiers.has('json') === true) stdout.write(`${JSON.stringify(failureJson(failure), null, 2)}\n`);
    stderr.write(renderFailure(failure, styleOf(stderr, env), false, 'cxmd_ctl'));
    return exitCodeOf(failure.code);
  } finally {
    context?.close();
  }
}
