/**
 * What a guest of the lab does, as a program on a node: counts on its disk as long as it lives, and acknowledges each number
 * to whoever asked for it when the number is on the medium, and not before.
 *
 *     counter-guest ADDRESS PORT NAME BOOT DISK...
 *
 * One process that does one thing after the other: where it is stopped or killed, no other thread of it goes on writing.
 */
import { createSocket } from 'node:dgram';
import { hostname } from 'node:os';
import { DirectFile } from '../../src/ha/disk/direct-file.ts';
import { blockBytes, encodeEntry, firstBlockOf, writers } from './counter.ts';

const pauseMs = 100;
const numbersPerRead = 100;

/** @throws Error where there is no room for another number */
function lastNumber(file: DirectFile): number {
  for (let first = 1; ; first += numbersPerRead) {
    const blocks = file.read(firstBlockOf(first), numbersPerRead * writers.length);
    for (let number = first; number < first + numbersPerRead; number += 1) {
      const start = (firstBlockOf(number) - firstBlockOf(first)) * blockBytes;
      const isWritten = writers.some((_, index) => blocks[start + index * blockBytes] !== 0);
      if (!isWritten) return number - 1;
    }
  }
}

function main(): void {
  const [address = '', port = '', , boot = '', disk = ''] = process.argv.slice(2);
  const node = hostname();
  const own = writers.findIndex((writer) => writer === node);
  if (own < 0) throw new Error(`${node} is no node of a guest that counts`);
  const file = DirectFile.open(disk, 'write', numbersPerRead * writers.length * blockBytes);
  const socket = createSocket('udp4').on('error', () => undefined);
  let number = lastNumber(file);
  setInterval(() => {
    number += 1;
    const entry = { number, node, boot };
    file.write(firstBlockOf(number) + own, encodeEntry(entry));
    socket.send(JSON.stringify(entry), Number(port), address);
  }, pauseMs);
}

main();
