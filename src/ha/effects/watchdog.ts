/**
 * The watchdog device: once it is open it resets the machine unless it is written to in time.
 *
 * Guarantees: it is fed only when asked; it is put to rest only by `rest`, so that the end of the process, however it comes,
 * lets it run out.
 */
import * as fs from 'node:fs';
import { CxmError } from '../../errors.ts';

export class Watchdog {
  private constructor(private readonly descriptor: number) {}

  /** From here on it runs. @throws CxmError IO */
  static open(path: string): Watchdog {
    try {
      return new Watchdog(fs.openSync(path, 'w'));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CxmError('IO', `the watchdog ${path} can't be opened: ${why}`, {
        hint: 'load its module, for instance xen_wdt, and look whether somebody else has it',
        cause,
      });
    }
  }

  feed(): void {
    fs.writeSync(this.descriptor, '\0');
  }

  /** The kernel's word for an end that is meant; devices with nowayout don't take it. */
  rest(): void {
    fs.writeSync(this.descriptor, 'V');
    fs.closeSync(this.descriptor);
  }
}
