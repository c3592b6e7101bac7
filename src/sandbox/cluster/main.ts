/** `cxm` of a sandbox: the command line itself, with the sandbox around it. */
import { runCxm } from '../../cli/run.ts';
import { sandboxEnvironment } from './environment.ts';

void runCxm(process.argv.slice(2), sandboxEnvironment()).then((code) => process.exit(code));
