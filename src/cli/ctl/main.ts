/** `cxmd_ctl` itself. */
import { exitCodes } from '../exit-codes.ts';
import { askPerson } from '../process.ts';
import { runCtl } from './run.ts';

// Whoever reads may go away first, as `head` does.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

runCtl(process.argv.slice(2), { stdout: process.stdout, stderr: process.stderr, env: process.env }, askPerson).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`cxmd_ctl: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(exitCodes.error);
  },
);
