/** `cxm` of a sandbox: the command line itself, with the sandbox around it. */
import { startCxm } from '../../cli/process.ts';
import { sandboxEnvironment } from './environment.ts';

startCxm(sandboxEnvironment());
