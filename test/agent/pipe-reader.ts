/** Reads frames from a real pipe on standard input and prints what came: as JSON, the data as a digest of all its bytes. */
import { createHash } from 'node:crypto';
import { DescriptorSource } from '../../src/agent/descriptor.ts';
import { readFrames } from '../../src/agent/frames.ts';

async function main(): Promise<void> {
  const source = new DescriptorSource(0);
  const hash = createHash('sha256');
  const seen: unknown[] = [];
  /** First and last byte's end of each stretch without a gap. */
  const places: number[] = [];
  let [bytes, waited] = [0, 0];
  const taking = {
    [Symbol.asyncIterator]: () => source[Symbol.asyncIterator](),
    takeNow: (length: number) => {
      const taken = source.takeNow(length);
      waited += taken?.data.length ?? 0;
      return taken;
    },
  };
  try {
    for await (const frame of readFrames(taking)) {
      if (frame.type === 'message' || frame.type === 'end') {
        seen.push(frame.type === 'message' ? frame.message : 'end');
        continue;
      }
      if (frame.type === 'extent') {
        if (frame.offset !== places.at(-1)) places.push(frame.offset, frame.offset);
        places[places.length - 1] = frame.offset + frame.data.length;
      }
      hash.update(frame.data);
      bytes += frame.data.length;
      frame.release?.();
    }
  } catch (error) {
    seen.push(error instanceof Error ? error.message : 'unknown');
  }
  console.log(JSON.stringify({ seen, bytes, waited, places, digest: hash.digest('hex') }));
}

void main();
