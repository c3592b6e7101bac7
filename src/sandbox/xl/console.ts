/** A guest's console, as far as the sandbox has one: it greets, echoes lines, and is left by Ctrl-] or the end of input. */
import { findDomain, parseArguments } from './context.ts';
import type { Command } from './context.ts';

const leave = 0x1d; // Ctrl-]

export const console: Command = async (context, args) => {
  const { operands } = parseArguments(args, ['t:', 'n:']);
  const { name } = findDomain(context, operands[0]);
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  context.out(`\r\n${name} (simulated) login: `);
  try {
    for await (const chunk of stdin as AsyncIterable<Buffer>) {
      const end = chunk.indexOf(leave);
      context.out((end < 0 ? chunk : chunk.subarray(0, end)).toString());
      if (end >= 0) break;
    }
  } finally {
    if (stdin.isTTY) stdin.setRawMode(false);
  }
  context.out('\r\n');
  return 0;
};
