/**
 * The helper's side of raw data (protocol.ts): a small program takes it from the connection and hands it to another one
 * that unpacks it, so that no byte of it goes through this process, which costs three times as much as the rest.
 *
 * What the feeder guarantees: it takes exactly the raw data from the connection and nothing behind it, also when the
 * other program has ended early; and a connection that ends in between is not mistaken for the end of the data.
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { CxmError } from '../errors.ts';

/**
 * Each piece is preceded by its length on a line, the last is empty. `read` takes byte by byte what it does not know
 * the length of, and dd never takes more than it was told.
 */
const script = `
while IFS= read -r -n 16 length; do
  [[ $length =~ ^(0|[1-9][0-9]{0,11})$ ]] || exit 2
  [ "$length" != 0 ] || exit 0
  dd bs=128k count="$length" iflag=fullblock,count_bytes status=none || exit 3
done
exit 1
`;

export interface Feeder {
  /**
   * The data; to be handed over as another program's standard input in the same turn, without waiting for anything:
   * from the next one on this process would read it.
   */
  readonly stream: Readable;
  /** Throws the rest away: nobody wants it any more. */
  discard(): void;
  kill(): void;
  /** All raw data was taken, and read or thrown away. @throws CxmError INTERRUPTED, PROTOCOL */
  readonly ended: Promise<void>;
}

export function startFeeder(descriptor: number): Feeder {
  const child = spawn('/bin/bash', ['--noprofile', '--norc', '-c', script], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    stdio: [descriptor, 'pipe', 'ignore'],
  });
  const stream = child.stdout;
  if (stream === null) throw new CxmError('INTERNAL', 'a child without pipes');
  stream.on('error', () => undefined);
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', (cause) => reject(new CxmError('COMMAND', `bash could not be started: ${cause.message}`)));
    child.on('exit', (code) => {
      if (code === 0) resolve();
      else if (code === 2) reject(new CxmError('PROTOCOL', 'raw data without a length', { changed: 'maybe' }));
      else reject(new CxmError('INTERRUPTED', 'the caller went away', { changed: 'maybe' }));
    });
  });
  ended.catch(() => undefined);
  let discarding = false;
  const discard = (): void => {
    if (discarding || child.exitCode !== null || child.signalCode !== null) return;
    discarding = true;
    // Not by this process: the descriptor blocks since a program has had it, and so would we.
    spawn('cat', [], { stdio: [stream, 'ignore', 'ignore'] }).on('error', () => child.kill('SIGKILL'));
  };
  return { stream, ended, discard, kill: () => void child.kill('SIGKILL') };
}

/** Where the operation, which may want raw data, and the connection, on which it may be offered, meet. */
export class RawIntake {
  private offer: { readonly descriptor: number; answer(feeder: Feeder | undefined): void } | undefined;
  private tell: (offered: boolean) => void = () => undefined;
  private readonly known = new Promise<boolean>((resolve) => (this.tell = resolve));
  private refused = false;
  private feeder: Feeder | undefined;

  /** Whether raw data is offered. Then it is to be opened soon: the caller waits. */
  get offered(): Promise<boolean> {
    return this.known;
  }

  /** The operation takes the offer. The stream has to be handed over before anything else happens: see Feeder. */
  open(): Feeder {
    if (this.offer === undefined) throw new CxmError('INTERRUPTED', 'the raw data is not wanted any more');
    this.feeder = startFeeder(this.offer.descriptor);
    this.offer.answer(this.feeder);
    this.offer = undefined;
    return this.feeder;
  }

  /** The operation wants frames, or nothing at all; or frames have come. */
  refuse(): void {
    this.refused = true;
    this.tell(false);
    this.offer?.answer(undefined);
    this.offer = undefined;
  }

  /** The caller offers raw data and waits. @returns what takes it now, or undefined: it has to come in frames */
  async offering(descriptor: number | undefined): Promise<Feeder | undefined> {
    if (descriptor === undefined) this.refuse();
    if (descriptor === undefined || this.refused || this.feeder !== undefined) return undefined;
    const taken = new Promise<Feeder | undefined>((answer) => (this.offer = { descriptor, answer }));
    this.tell(true);
    return taken;
  }

  discard(): void {
    this.refuse();
    this.feeder?.discard();
  }

  /** The conversation is over. */
  close(): void {
    this.feeder?.kill();
  }
}
