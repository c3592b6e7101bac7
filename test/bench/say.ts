/** Progress of a benchmark, on standard error: standard output is for the table. */
export function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}
