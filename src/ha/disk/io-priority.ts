/**
 * The heartbeat goes before all other reads and writes of the host, as far as its I/O schedulers heed it: the calling thread
 * alone asks for the real-time class, so that nothing the daemon starts inherits it.
 */
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';

/** Where it isn't allowed, or util-linux is missing, the thread goes on with the priority that it has. */
export function takePriority(): void {
  try {
    const thread = readlinkSync('/proc/thread-self').split('/').at(-1) ?? '';
    execFileSync('ionice', ['-c', '1', '-n', '0', '-p', thread], { stdio: 'ignore', timeout: 5000 });
  } catch {
    // The timing of the heartbeat does not count on it.
  }
}
