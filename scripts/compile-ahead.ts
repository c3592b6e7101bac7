/**
 * Programs that bring their byte code: most of what a short program costs is that V8 reads its text. The code of what a
 * harmless run has needed goes into the file, so that the Node that built it has nothing left to compile.
 *
 * Guarantees: the byte code counts only for the version of Node and the kind of processor that wrote it, and V8 itself
 * compares version, flags and length of the text besides; everybody else compiles the text, as ever. One file stays one.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** A run that ends by itself at once, succeeds or not, and changes nothing. */
export interface TrialRun {
  readonly argv: readonly string[];
  /** Its standard input. */
  readonly input?: Uint8Array;
  /** Searched for programs before all other directories. */
  readonly commands?: string;
  /** A function that the file exports, called after it was loaded. */
  readonly call?: { readonly name: string; readonly args: readonly string[] };
}

/** What trial-run.ts is told. */
export interface TrialOrder extends Omit<TrialRun, 'input'> {
  readonly file: string;
  /** The text as it will be compiled: exactly this belongs to the byte code. */
  readonly source: string;
  /** Where the byte code goes. */
  readonly output: string;
}

const tsx = ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href];
const trialRun = join(dirname(fileURLToPath(import.meta.url)), 'trial-run.ts');

/**
 * Rewrites a finished program: it does the same, and starts faster.
 * @param head its first lines, which stay as they are
 * @throws Error when the trial run leaves no byte code
 */
export async function compileAhead(file: string, head: string, trial: TrialRun): Promise<void> {
  const text = (await readFile(file, 'utf8')).slice(head.length);
  const source = `(function (exports, require, module, __filename, __dirname) {${text}\n})`;
  const code = await codeOf({ ...trial, file, source });
  const builtBy = JSON.stringify(process.version + process.arch);
  await writeFile(
    file,
    `${head}// The program is the long text below; before it stands its byte code for the Node that built it.
const code = process.version + process.arch === ${builtBy} && ${JSON.stringify(code.toString('base64'))};
new (require('vm').Script)(${JSON.stringify(source)}, {
  filename: __filename,
  cachedData: code ? Buffer.from(code, 'base64') : undefined,
}).runInThisContext()(exports, require, module, __filename, __dirname);
`,
  );
}

async function codeOf({ input, ...trial }: TrialRun & Omit<TrialOrder, 'output'>): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'cxm-build-'));
  try {
    const order: TrialOrder = { ...trial, output: join(directory, 'code') };
    const orderFile = join(directory, 'order');
    await writeFile(orderFile, JSON.stringify(order));
    const said = await new Promise<string>((done) => {
      const words = [...tsx, trialRun, orderFile];
      const child = execFile(process.execPath, words, { timeout: 60_000 }, (_, __, stderr) => done(stderr));
      child.stdin?.on('error', () => undefined).end(input);
    });
    return await readFile(order.output).catch(() => {
      throw new Error(`the trial run of ${trial.file} left no byte code: ${said}`);
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
