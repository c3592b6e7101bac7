/**
 * Which ciphers ssh is to offer when much data travels. Its own first choice, ChaCha20, costs about twice as much as AES-GCM
 * on processors that know AES, and encryption is the largest part of a transfer. What an administrator has configured
 * stays as it is: only where ssh would take its built-in list, that list is taken in another order.
 */
import { readFile } from 'node:fs/promises';
import type { Commands } from '../host/commands.ts';

const preferred = 'aes128-gcm@openssh.com';

/**
 * @returns a list for the option Ciphers of ssh, or undefined when it is better left alone: configured, not known to
 * this ssh, or no AES in the processor. Never throws: without an answer the transfer is only slower.
 */
export async function bulkCiphers(commands: Commands, host: string): Promise<readonly string[] | undefined> {
  try {
    const [cpu, configured, builtIn] = await Promise.all([
      readFile('/proc/cpuinfo', 'latin1'),
      ciphersOf(commands, ['--', host]),
      ciphersOf(commands, ['-F', 'none', '--', host]),
    ]);
    if (!/^(flags|Features)\s*:.*\baes\b/m.test(cpu) || configured !== builtIn) return undefined;
    const known = builtIn.split(',');
    return known.includes(preferred) ? [preferred, ...known.filter((cipher) => cipher !== preferred)] : undefined;
  } catch {
    return undefined;
  }
}

async function ciphersOf(commands: Commands, words: readonly string[]): Promise<string> {
  const { stdout } = await commands.run('ssh', ['-G', ...words], { timeoutMs: 5000 });
  const found = /^ciphers (.+)$/m.exec(stdout);
  if (found?.[1] === undefined) throw new Error('ssh tells no ciphers');
  return found[1];
}
