/**
 * Powering a node off from here, by the rules by which cxmd does it: only the fence program's exit status 0 says that the
 * node is off, and where there is a program that tells the power state, that one must say so, too. A time-out, a signal or
 * anything else proves nothing.
 */
import { CxmError } from '../errors.ts';
import { powerSaid } from '../ha/effects/fencing.ts';
import type { CommandResult, Commands } from '../host/commands.ts';
import { printable } from '../transfer/process.ts';

export interface FenceSettings {
  /** FENCE_CMD: its first argument is the node's name. */
  readonly command: string;
  /** FENCE_STATUS_CMD, likewise. */
  readonly status: string | undefined;
  readonly disabled: boolean;
  /** Of each program. */
  readonly timeoutMs: number;
}

/** @throws CxmError REFUSED when fencing is disabled, COMMAND or TIMEOUT when it is not certain that the node is off */
export async function fenceNode(commands: Commands, settings: FenceSettings, node: string): Promise<void> {
  if (settings.disabled) {
    throw new CxmError('REFUSED', `${node} is not fenced, because DISABLE_FENCING is True in cxm.conf`);
  }
  const { command, status, timeoutMs } = settings;
  const fenced = await ask(commands, command, node, timeoutMs);
  if (fenced.exitCode !== 0) {
    const said = printable(fenced.stderr).slice(0, 300) || 'it said nothing';
    throw uncertain(node, `${command} ${node} ended with exit code ${fenced.exitCode}`, `: ${said}`);
  }
  if (status === undefined) return;
  const power = powerSaid(await ask(commands, status, node, timeoutMs));
  if (power !== 'off') throw uncertain(node, `${command} ${node} succeeded, but the power state is ${power}`);
}

async function ask(commands: Commands, program: string, node: string, timeoutMs: number): Promise<CommandResult> {
  try {
    return await commands.run(program, [node], { timeoutMs, okExitCodes: 'any' });
  } catch (error) {
    if (!(error instanceof CxmError) || error.code !== 'TIMEOUT') throw error;
    const what = `${program} ${node} did not end within ${Math.round(timeoutMs / 1000)} s`;
    throw uncertain(node, what, '', { code: 'TIMEOUT', cause: error });
  }
}

interface Why {
  readonly code?: 'COMMAND' | 'TIMEOUT';
  readonly cause?: unknown;
}

function uncertain(node: string, what: string, said = '', { code = 'COMMAND', cause }: Why = {}): CxmError {
  return new CxmError(code, `${what}, so ${node} may be on${said}`, {
    hint: `find out by other means whether ${node} is off before its VMs are started elsewhere`,
    changed: 'maybe',
    cause,
  });
}
