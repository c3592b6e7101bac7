/**
 * The watchdog device: once it is open it resets the machine unless it is written to in time.
 *
 * Guarantees: it is fed only when asked; it is put to rest only by `rest`, so that the end of the process, however it comes,
 * lets it run out; a device that waits longer than the others believe, or can't be put to rest, is not taken at all.
 */
import * as fs from 'node:fs';
import { CxmError } from '../../errors.ts';
import { deviceDirectory } from '../../host/device-number.ts';

export class Watchdog {
  private constructor(private readonly descriptor: number) {}

  /**
   * From here on it runs.
   * @param timeoutSeconds after which others take this node for off
   * @param directoryOf where the kernel tells about a character device of that number
   * @throws CxmError IO, CONFIG
   */
  static open(path: string, timeoutSeconds: number, directoryOf = watchdogDirectory): Watchdog {
    requireUsable(path, timeoutSeconds, directoryOf);
    try {
      return new Watchdog(fs.openSync(path, 'w'));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CxmError('IO', `the watchdog ${path} can't be opened: ${why}`, {
        hint: 'look whether somebody else has it',
        cause,
      });
    }
  }

  feed(): void {
    fs.writeSync(this.descriptor, '\0');
  }

  /** The kernel's word for an end that is meant. */
  rest(): void {
    fs.writeSync(this.descriptor, 'V');
    fs.closeSync(this.descriptor);
  }
}

/** `/dev/watchdog` is the first device by a number of its own, of which nothing is told. */
const firstDevice = deviceDirectory('char', 10 * 256 + 130);

function watchdogDirectory(rdev: number): string {
  const directory = deviceDirectory('char', rdev);
  return directory === firstDevice ? '/sys/class/watchdog/watchdog0' : directory;
}

/**
 * Others start this node's VMs after that time: where the device waits longer they would run twice. One with nowayout would
 * reset a node on which cxmd was ended by a person, and whose VMs nobody starts therefore.
 * @throws CxmError CONFIG; NOT_FOUND when there is no device
 */
export function requireUsable(path: string, expectedSeconds: number, directoryOf = watchdogDirectory): void {
  if (!fs.existsSync(path)) {
    throw new CxmError('NOT_FOUND', `there is no watchdog ${path}`, { hint: 'load its module, for instance xen_wdt' });
  }
  const directory = directoryOf(fs.statSync(path).rdev);
  const file = `${directory}/timeout`;
  const seconds = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0;
  if (!(seconds > 0)) {
    throw new CxmError('CONFIG', `the time-out of the watchdog ${path} is not told: there is no ${file}`, {
      hint: 'it must be known to be that of WATCHDOG_TIMEOUT; is WATCHDOG a watchdog, and its module loaded?',
    });
  }
  if (fs.existsSync(`${directory}/nowayout`) && fs.readFileSync(`${directory}/nowayout`, 'utf8').trim() !== '0') {
    throw new CxmError('CONFIG', `the watchdog ${path} can't be put to rest: it would reset this node when cxmd ends`, {
      hint: 'load its module with nowayout=0',
    });
  }
  if (seconds <= expectedSeconds) return;
  throw new CxmError(
    'CONFIG',
    `the watchdog ${path} resets this node after ${seconds} s, but WATCHDOG_TIMEOUT is ${expectedSeconds} s`,
    {
      hint: `load its module with timeout=${expectedSeconds}, or set WATCHDOG_TIMEOUT = ${seconds}: its VMs would be started elsewhere while they still run`,
    },
  );
}
