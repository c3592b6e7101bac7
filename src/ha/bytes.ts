/**
 * Reading and writing of the binary records that nodes exchange: whole numbers in big-endian order, texts in UTF-8 behind
 * their length. Guarantees: a reader never reads beyond its record and says so by an error of its own class, and so is a
 * counter so great that what follows from it by counting on could not be held exactly or written any more.
 */

/** What was read is no record of ours; whoever reads decides what that means. */
export class MalformedRecord extends Error {
  override readonly name = 'MalformedRecord';
}

const two32 = 2 ** 32;
/** Half of what JavaScript holds exactly. Counters grow by a few a second, so none of ours ever comes near it. */
export const maxCounter = 2 ** 52;

export class ByteWriter {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(limitBytes: number) {
    this.bytes = Buffer.alloc(limitBytes);
  }

  u8(value: number): this {
    return this.number(value, 1);
  }

  u16(value: number): this {
    return this.number(value, 2);
  }

  u32(value: number): this {
    return this.number(value, 4);
  }

  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${String(value)} is no counter`);
    return this.number(Math.floor(value / two32), 4).number(value % two32, 4);
  }

  raw(data: Uint8Array): this {
    this.room(data.length);
    this.bytes.set(data, this.at);
    this.at += data.length;
    return this;
  }

  /** At most 65 535 bytes. */
  text(value: string): this {
    const data = Buffer.from(value);
    return this.u16(data.length).raw(data);
  }

  /** What was written. */
  done(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  private number(value: number, length: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 256 ** length) {
      throw new RangeError(`${String(value)} does not fit into ${String(length)} bytes`);
    }
    this.room(length);
    this.bytes.writeUIntBE(value, this.at, length);
    this.at += length;
    return this;
  }

  private room(length: number): void {
    if (this.at + length > this.bytes.length) throw new RangeError('the record is too large');
  }
}

export class ByteReader {
  private readonly view: DataView;
  private at = 0;

  constructor(private readonly bytes: Buffer) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u8(): number {
    return this.view.getUint8(this.pass(1));
  }

  u16(): number {
    return this.view.getUint16(this.pass(2));
  }

  u32(): number {
    return this.view.getUint32(this.pass(4));
  }

  u64(): number {
    const value = this.u32() * two32 + this.u32();
    if (value > maxCounter) throw new MalformedRecord('a counter is too large');
    return value;
  }

  raw(length: number): Buffer {
    const from = this.pass(length);
    return this.bytes.subarray(from, from + length);
  }

  text(): string {
    return this.raw(this.u16()).toString('utf8');
  }

  /** @throws MalformedRecord if something is left */
  end(): void {
    if (this.at !== this.bytes.length) throw new MalformedRecord('the record is too long');
  }

  /** Moves behind what is read next. @returns where that begins */
  private pass(length: number): number {
    const from = this.at;
    if (from + length > this.bytes.length) throw new MalformedRecord('the record ends too early');
    this.at = from + length;
    return from;
  }
}

/** The entry of a list of words by its number. @throws MalformedRecord if there is none */
export function wordAt<W extends string>(words: readonly W[], index: number): W {
  const word = words[index];
  if (word === undefined) throw new MalformedRecord(`there is no word ${String(index)}`);
  return word;
}
