/**
 * One shell that runs command after command, as oned's VMM driver keeps one per action on a host: each command is a line
 * with the marks of its end behind it, and nothing more is sent, and nothing closed, before the marks have come back.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';

export interface ShellAnswer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const endOfOutput = 'EOF_OUT\n';
const endOfErrors = /^ExitCode: (\d+) EOF_ERR\n/m;

export class ShellStream {
  private stdout = '';
  private stderr = '';
  private heard = (): void => undefined;
  private readonly closed: Promise<number>;

  constructor(private readonly shell: ChildProcessWithoutNullStreams) {
    shell.stdin.on('error', () => undefined);
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.heard();
    });
    shell.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.heard();
    });
    this.closed = new Promise((resolve, reject) => {
      shell.once('error', reject);
      shell.once('close', (code) => resolve(code ?? 255));
    });
    this.closed.catch(() => undefined);
  }

  /** @param data the lines of a here-document that the command begins */
  async run(command: string, data = ''): Promise<ShellAnswer> {
    const marks = new Promise<void>((resolve) => {
      this.heard = () => {
        if (this.stdout.endsWith(endOfOutput) && endOfErrors.test(this.stderr)) resolve();
      };
    });
    this.shell.stdin.write(`(${command}); echo "ExitCode: $? EOF_ERR" 1>&2; echo "EOF_OUT"\n${data}`);
    // A shell that could not be reached says nothing more.
    const code = await Promise.race([marks.then(() => undefined), this.closed]);
    const exitCode = code ?? Number(endOfErrors.exec(this.stderr)?.[1]);
    const answer = {
      exitCode,
      stdout: this.stdout.endsWith(endOfOutput) ? this.stdout.slice(0, -endOfOutput.length) : this.stdout,
      stderr: this.stderr.replace(endOfErrors, ''),
    };
    this.stdout = '';
    this.stderr = '';
    return answer;
  }

  /** As the driver closes it. */
  async end(): Promise<void> {
    this.shell.stdin.end('\nexit\n');
    await this.closed;
  }
}
