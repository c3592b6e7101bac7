/**
 * Powering a node off from here. Only the fence program's exit status 0 says that it is off: a time-out, a signal or
 * anything else it says proves nothing.
 */
import { CxmError } from '../errors.ts';
import type { Commands } from '../host/commands.ts';
import { printable } from '../transfer/process.ts';

export interface FenceSettings {
  /** FENCE_CMD: its first argument is the node's name. */
  readonly command: string;
  readonly disabled: boolean;
  readonly timeoutMs: number;
}

/** @throws CxmError REFUSED when fencing is disabled, COMMAND or TIMEOUT when it is not certain that the node is off */
export async function fenceNode(commands: Commands, settings: FenceSettings, node: string): Promise<void> {
  if (settings.disabled) {
    throw new CxmError('REFUSED', `${node} is not fenced, because DISABLE_FENCING is True in cxm.conf`);
  }
  const { command, timeoutMs } = settings;
  const hint = `find out by other means whether ${node} is off before its VMs are started elsewhere`;
  try {
    const { exitCode, stderr } = await commands.run(command, [node], { timeoutMs, okExitCodes: 'any' });
    if (exitCode === 0) return;
    const said = printable(stderr).slice(0, 300) || 'it said nothing';
    const message = `${command} ${node} ended with exit code ${exitCode}, so ${node} may be on: ${said}`;
    throw new CxmError('COMMAND', message, { hint, changed: 'maybe' });
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'TIMEOUT') throw error;
    const message = `${command} ${node} did not end within ${Math.round(timeoutMs / 1000)} s, so ${node} may be on`;
    throw new CxmError('TIMEOUT', message, { hint, changed: 'maybe', cause: error });
  }
}
