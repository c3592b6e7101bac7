/**
 * A node of the sandbox as a `Machine`: every program runs there through the stand-in for ssh, which gives it the node's
 * home, programs, /dev and Xen. Words are quoted for the shell that sshd would start.
 */
import { CxmError } from '../../errors.ts';
import { commandFailed, type CommandResult } from '../../host/commands.ts';
import { localMachine, type Machine } from '../../host/hold.ts';
import { quoted } from '../one/calls.ts';

/** As ssh ends when it could not come to the host; none of the programs run here ends so. */
const connectionFailed = 255;

export function sandboxMachine(node: string): Machine {
  const line = (program: string, args: readonly string[]): string[] => [
    node,
    ['exec', program, ...args].map((word, index) => (index === 0 ? word : quoted(word))).join(' '),
  ];
  return {
    async run(program, args, options = {}) {
      const { okExitCodes = [0], env = {}, ...rest } = options;
      const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
      const [first, all] = words.length === 0 ? [program, args] : ['env', [...words, program, ...args]];
      const result = await localMachine.run('ssh', line(first, all), { ...rest, okExitCodes: 'any' });
      if (result.exitCode === connectionFailed) throw unreachable(node, result);
      if (okExitCodes === 'any' || okExitCodes.includes(result.exitCode)) return result;
      throw commandFailed(program, args, result);
    },
    async hold(program, args, timeoutMs) {
      // The stand-in says why it could not come to the node, the held program would not.
      await this.run('true', []);
      return localMachine.hold('ssh', line(program, args), timeoutMs);
    },
  };
}

function unreachable(node: string, { stderr }: CommandResult): CxmError {
  const said = stderr.trim().split('\n').at(-1) ?? `${node} does not answer`;
  // As the kernel says it to whoever connects by himself.
  const cause = /No route to host/.test(said) ? Object.assign(new Error(said), { code: 'EHOSTUNREACH' }) : undefined;
  return new CxmError('HOST_UNREACHABLE', said, { cause });
}
