/**
 * The build: everything under dist/.
 *
 * - dist/remotes: what is copied to /var/lib/one/remotes, in the layout it has there. All actions of one kind share a
 *   bundle in dist/remotes/cxm; an action itself is a launcher of a few lines.
 * - dist/sbin: what is installed on the hosts, each one file.
 * - dist/share: manual pages and the completion for bash, from the tables of cxm; the unit of systemd and fence commands.
 * - dist/sandbox: the tour and the simulated xl.
 *
 * It also writes what is generated from the schemas: cxmrc.example, docs/cxmrc.md, docs/cxm.conf.example and
 * docs/cxm.conf.md.
 */
import { build, type BuildOptions, type Metafile, type Plugin } from 'esbuild';
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderBashCompletion } from '../src/cli/bash-completion.ts';
import { renderCtlPage, renderCxmConfPage, renderCxmPage, renderDaemonPage } from '../src/cli/man.ts';
import { renderCxmConfExample, renderCxmConfReference, renderExample, renderReference } from '../src/config/render.ts';
import { answeringHost, oneRequest, refusedRequest } from './answering-host.ts';
import { compileAhead, type TrialRun } from './compile-ahead.ts';
import { renderNotices } from './notices.ts';
import { plainSsh2 } from './plain-ssh2.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const finished = join(root, 'dist');
/** Built beside, so that whoever uses the last build meanwhile finds it whole. */
const dist = join(root, `dist.new-${process.pid}`);
/** What programs find that are tried out. */
const trial = { remotes: join(dist, 'trial/remotes'), commands: join(dist, 'trial/bin') };
const maxRemotesBytes = 3 * 1024 * 1024;
const quiet = process.argv.includes('--quiet');

/**
 * Setting up the XML parser is a tenth of an action's start, and many actions read no XML: it is set up by the first
 * document. esbuild runs what is required inside a function only when the function is called.
 */
const lazyXmlParser: Plugin = {
  name: 'lazy-xml-parser',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^fast-xml-parser$/ }, ({ path, namespace }) =>
      namespace === 'used' ? undefined : { path, namespace: 'lazy' },
    );
    onResolve({ filter: /^used$/, namespace: 'lazy' }, ({ path }) => ({ path, namespace: 'used' }));
    onLoad({ filter: /^/, namespace: 'lazy' }, () => ({
      contents: `export class XMLParser { constructor(options) { return new (require('used').XMLParser)(options); } }
        export const XMLValidator = { validate: (...args) => require('used').XMLValidator.validate(...args) };`,
    }));
    // Between the two, so that what we do not use of the package is still left out.
    onLoad({ filter: /^/, namespace: 'used' }, () => ({
      resolveDir: root,
      contents: `export { XMLParser, XMLValidator } from 'fast-xml-parser';`,
    }));
  },
};

const common: BuildOptions = {
  bundle: true,
  plugins: [lazyXmlParser, plainSsh2],
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  // Byte code that is brought along knows no import().
  supported: { 'dynamic-import': false },
  minifySyntax: true,
  minifyWhitespace: true,
  minifyIdentifiers: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  absWorkingDir: root,
};

/** Refuses to start on a Node that is too old, with a sentence that says so. */
const versionCheck = `if (+process.versions.node.split('.')[0] < 20) {
  process.stderr.write('cxm needs Node.js 20 or later, but this is ' + process.version + ' (' + process.execPath + ')\\n');
  process.exit(1);
}
`;

async function main(): Promise<void> {
  await mkdir(dist);
  await writeFile(join(dist, 'package.json'), '{ "type": "commonjs" }\n');
  await prepareTrial();
  const metafiles: Metafile[] = [];
  for (const kind of ['tm', 'vmm', 'im'] as const) metafiles.push(...(await buildActions(kind)));
  if (existsSync(join(root, 'remotes'))) await copyRemotes();
  for (const [entry, output, run] of executables) {
    if (existsSync(join(root, entry))) metafiles.push(await buildExecutable(entry, output, run));
  }
  await writeShare();
  await cp(join(root, 'share'), join(dist, 'share'), { recursive: true });
  await writeFile(join(root, 'cxmrc.example'), renderExample());
  await cp(join(root, 'cxmrc.example'), join(dist, 'remotes/cxmrc.example'));
  await writeFile(join(root, 'docs/cxmrc.md'), renderReference());
  await writeFile(join(root, 'docs/cxm.conf.example'), renderCxmConfExample());
  await writeFile(join(root, 'docs/cxm.conf.md'), renderCxmConfReference());
  await writeFile(join(dist, 'THIRD-PARTY-NOTICES.txt'), await renderNotices(root, metafiles));
  await cp(join(dist, 'THIRD-PARTY-NOTICES.txt'), join(dist, 'remotes/cxm/THIRD-PARTY-NOTICES.txt'));
  await rm(join(dist, 'trial'), { recursive: true });
  const bytes = await sizeOf(join(dist, 'remotes'));
  if (bytes > maxRemotesBytes) throw new Error(`dist/remotes has ${bytes} bytes, more than ${maxRemotesBytes}`);
  await replaceFinished();
  if (!quiet) process.stdout.write(`dist/remotes: ${Math.ceil(bytes / 1024)} KiB\n`);
}

async function prepareTrial(): Promise<void> {
  for (const directory of [trial.remotes, trial.commands]) await mkdir(directory, { recursive: true });
  await writeFile(join(trial.remotes, 'cxmrc'), 'VG_NAME="VG0"\n');
  await writeFile(join(trial.commands, 'ssh'), answeringHost, { mode: 0o755 });
  await writeFile(join(trial.commands, 'logger'), '#!/bin/sh\n', { mode: 0o755 });
}

async function replaceFinished(): Promise<void> {
  const last = join(root, `dist.old-${process.pid}`);
  if (existsSync(finished)) await rename(finished, last);
  await rename(dist, finished);
  await rm(last, { recursive: true, force: true });
}

const help: TrialRun = { argv: ['--help'] };
const request: TrialRun = { argv: [], input: refusedRequest, commands: trial.commands };

/** Entry and output of the programs that are one file each; those that start often, with a trial run. */
const executables: readonly (readonly [entry: string, output: string, trial?: TrialRun])[] = [
  ['src/agent/main.ts', 'sbin/cxm-host', request],
  ['src/cli/main.ts', 'sbin/cxm', help],
  ['src/cxmd/main.ts', 'sbin/cxmd'],
  ['src/cli/ctl/main.ts', 'sbin/cxmd_ctl', help],
  ['hooks/one-migrate.ts', 'sbin/one-migrate'],
  ['src/sandbox/xl/main.ts', 'sandbox/xl', { argv: [] }],
  ['src/sandbox/host/main.ts', 'sandbox/cxm-host'],
  ['src/sandbox/cluster/main.ts', 'sandbox/cxm', help],
  ['src/sandbox/cluster/cxmd.ts', 'sandbox/cxmd'],
  ['src/sandbox/cluster/lvm.ts', 'sandbox/lvm'],
  ['src/sandbox/cluster/fence.ts', 'sandbox/cxm_fence'],
  ['src/sandbox/tour.ts', 'sandbox/tour.cjs'],
];

async function buildExecutable(entry: string, output: string, run?: TrialRun): Promise<Metafile> {
  const outfile = join(dist, output);
  const head = `#!/usr/bin/env node\n${versionCheck}`;
  const result = await build({
    ...common,
    entryPoints: [entry],
    outfile,
    define: {
      __CXM_VERSION__: JSON.stringify(await versionOfPackage()),
      ...(output.endsWith('/cxmd') ? { __CXMD_DISK_PROGRAM__: JSON.stringify(await diskProgram()) } : {}),
    },
    banner: { js: head },
  });
  if (run !== undefined) await compileAhead(outfile, head, run);
  await chmod(outfile, 0o755);
  return metafileOf(result);
}

/** What the thread of the heartbeat disk runs, as a text inside cxmd: one file is installed, and the thread stays small. */
async function diskProgram(): Promise<string> {
  const result = await build({ ...common, entryPoints: ['src/ha/disk/disk-worker-main.ts'], write: false });
  return result.outputFiles?.[0]?.text ?? '';
}

async function versionOfPackage(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  return version;
}

/** What is installed under /usr/share. */
async function writeShare(): Promise<void> {
  const version = await versionOfPackage();
  const files: readonly (readonly [string, string])[] = [
    ['man/man1/cxm.1', renderCxmPage(version)],
    ['man/man8/cxmd.8', renderDaemonPage(version)],
    ['man/man8/cxmd_ctl.8', renderCtlPage(version)],
    ['man/man5/cxm.conf.5', renderCxmConfPage(version)],
    ['bash-completion/completions/cxm', renderBashCompletion()],
  ];
  for (const [path, text] of files) {
    const file = join(dist, 'share', path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

interface ActionFile {
  /** Path in remotes, as `tm/cxm/clone`. */
  readonly path: string;
  readonly entry: string;
}

/** The actions of one kind: one bundle and a launcher each. */
async function buildActions(kind: 'tm' | 'vmm' | 'im'): Promise<Metafile[]> {
  const actions = await findActions(kind === 'im' ? 'remotes/im' : kind, kind);
  if (actions.length === 0) return [];
  const imports = actions.map(
    ({ path, entry }) => `${JSON.stringify(path)}: () => require(${JSON.stringify(`./${entry}`)})`,
  );
  const contents = `import { runAction } from './src/one/action.ts';
    const actions = { ${imports.join(', ')} };
    exports.run = (path, file) => runAction(actions[path]().action, file, process.argv.slice(2));`;
  const outfile = join(dist, `remotes/cxm/${kind}.js`);
  const result = await build({ ...common, stdin: { contents, resolveDir: root, loader: 'js' }, outfile });
  await compileAhead(outfile, '', trialOfActions(kind));
  for (const { path } of actions) await writeLauncher(path, kind);
  return [metafileOf(result)];
}

/** The probes would look at this machine, and are only loaded. */
function trialOfActions(kind: 'tm' | 'vmm' | 'im'): TrialRun {
  if (kind === 'im') return { argv: [] };
  const path = kind === 'tm' ? 'tm/cxm/mkswap' : 'vmm/cxm/poll';
  const call = { name: 'run', args: [path, join(trial.remotes, path)] };
  return { argv: kind === 'tm' ? oneRequest : [], commands: trial.commands, call };
}

async function findActions(directory: string, kind: string): Promise<ActionFile[]> {
  if (!existsSync(join(root, directory))) return [];
  const files = await readdir(join(root, directory), { recursive: true });
  return files
    .filter((file) => file.endsWith('.ts'))
    .sort()
    .map((file) => ({ path: join(kind, file.slice(0, -3)), entry: join(directory, file) }));
}

async function writeLauncher(path: string, kind: string): Promise<void> {
  const file = join(dist, 'remotes', path);
  const up = '../'.repeat(path.split('/').length - 1);
  const run = `require('${up}cxm/${kind}.js').run(${JSON.stringify(path)}, require('path').resolve(process.argv[1]));\n`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/usr/bin/env node\n'use strict';\n${versionCheck}${run}`);
  await chmod(file, 0o755);
}

/** What is no TypeScript goes as it is. */
async function copyRemotes(): Promise<void> {
  await cp(join(root, 'remotes'), join(dist, 'remotes'), {
    recursive: true,
    filter: (source) => !source.endsWith('.ts'),
  });
}

function metafileOf(result: { metafile?: Metafile | undefined }): Metafile {
  if (result.metafile === undefined) throw new Error('esbuild wrote no metafile');
  return result.metafile;
}

async function sizeOf(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const sizes = entries.filter((entry) => entry.isFile()).map((entry) => stat(join(entry.parentPath, entry.name)));
  return (await Promise.all(sizes)).reduce((sum, { size }) => sum + size, 0);
}

try {
  await main();
} finally {
  await rm(dist, { recursive: true, force: true });
}
