/** The large warning before a command when the cluster is in trouble, or this machine is none of its nodes. */
import type { CliEnvironment, Membership } from './environment.ts';
import { styleOf } from './style.ts';

export async function warnOfMembership(environment: CliEnvironment, quiet: boolean): Promise<void> {
  if (quiet) return;
  const text = membershipWarning(await environment.membership(), environment.localName);
  if (text === undefined) return;
  const { stderr, env } = environment.terminal;
  const { paint } = styleOf(stderr, env);
  const bar = '*'.repeat(Math.max(...text.map((line) => line.length)) + 4);
  const lines = [bar, ...text.map((line) => `* ${line.padEnd(bar.length - 4)} *`), bar];
  stderr.write(lines.map((line) => `${paint('red', paint('bold', line))}\n`).join(''));
}

/** Its lines; undefined when all is well. Pure. */
export function membershipWarning(
  { isMember, state, source }: Membership,
  localName: string,
): readonly string[] | undefined {
  const lines: string[] = [];
  if (state === 'panic') {
    lines.push('THE CLUSTER IS IN PANIC: no node takes over the VMs of another one.', 'See `cxmd_ctl --status`.');
  }
  if (state === 'recovery') {
    lines.push(
      'THE CLUSTER IS RECOVERING FROM A FAILURE: VMs are being started elsewhere.',
      'Wait until it has ended.',
    );
  }
  if (!isMember) lines.push(`THIS MACHINE (${localName}) IS NO MEMBER OF THE CLUSTER, says ${source}.`);
  return lines.length === 0 ? undefined : lines;
}
