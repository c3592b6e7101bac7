/**
 * Many facts of a node by one program run: a shell script of parts, each with its own output, messages and exit code. What
 * separates them nobody can have written into a file beforehand.
 */
import { randomBytes } from 'node:crypto';
import type { CommandResult, Commands } from '../host/commands.ts';

export interface Part {
  readonly name: string;
  readonly stdout: string;
  readonly stderr: string;
  /** -1 when it has not ended. */
  readonly exitCode: number;
}

export type Parts = ReadonlyMap<string, Part>;

function splitParts(mark: string, output: CommandResult): Parts {
  const pieces = (text: string): [string, string][] =>
    text
      .split(`\n${mark} `)
      .slice(1)
      .map((piece) => [lineOf(piece), piece.slice(piece.indexOf('\n') + 1)]);
  const said = new Map(pieces(output.stderr));
  const parts = new Map<string, Part>();
  let last: Part | undefined;
  for (const [head, text] of pieces(output.stdout)) {
    const exitCode = /^exit (\d+)$/.exec(head)?.[1];
    if (exitCode === undefined) last = { name: head, stdout: text, stderr: said.get(head) ?? '', exitCode: -1 };
    else if (last !== undefined) last = { ...last, exitCode: Number(exitCode) };
    if (last !== undefined) parts.set(last.name, last);
  }
  return parts;
}

function lineOf(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/** Beginning of a script: `part NAME COMMAND...`. $1 is the mark; it goes to both outputs, and with the exit code after it. */
export const partFunction = `mark=$1
part() {
  printf '\\n%s %s\\n' "$mark" "$1"; printf '\\n%s %s\\n' "$mark" "$1" >&2; shift
  "$@"; printf '\\n%s exit %s\\n' "$mark" "$?"
}`;

/** Runs a script that begins with `partFunction`; its own arguments begin at $2. @throws as Commands.run */
export async function runParts(
  commands: Commands,
  script: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<Parts> {
  const mark = `=== ${randomBytes(12).toString('hex')}`;
  return splitParts(mark, await commands.run('sh', ['-c', script, 'sh', mark, ...args], { timeoutMs }));
}
