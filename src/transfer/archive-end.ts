/**
 * The end of an uncompressed archive. A tar stream that was cut off between two members looks complete to tar; only
 * the zero blocks that every tar writes at the end tell. (gzip and zstd notice by themselves.)
 */
import { CxmError } from '../errors.ts';
import { tarBlockBytes } from './tar-header.ts';

/**
 * Passes an archive on and looks at its last block.
 * @throws (while iterating, at the end) CxmError INVALID_INPUT when it isn't zero
 */
export async function* endingWithZeros(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let last: Uint8Array = new Uint8Array(0);
  for await (const chunk of bytes) {
    const tail = chunk.length >= tarBlockBytes ? chunk.subarray(-tarBlockBytes) : Buffer.concat([last, chunk]);
    // A copy: the consumer may reuse the memory.
    last = Uint8Array.from(tail.subarray(-tarBlockBytes));
    yield chunk;
  }
  if (last.length < tarBlockBytes || last.some((byte) => byte !== 0)) {
    throw new CxmError('INVALID_INPUT', 'the archive is cut off: the blocks that end a tar archive are missing', {
      hint: 'check the image, for example by its checksum, and register it again',
      changed: 'maybe',
    });
  }
}
