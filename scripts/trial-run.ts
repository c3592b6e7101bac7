/** The child of compile-ahead.ts: runs a program once, and writes the code that V8 made for it when it ends. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname } from 'node:path';
import { Script } from 'node:vm';
import type { TrialOrder } from './compile-ahead.ts';

type Module = { exports: Record<string, (...args: readonly string[]) => unknown> };
type Wrapped = (
  exports: Module['exports'],
  require: NodeJS.Require,
  module: Module,
  filename: string,
  directory: string,
) => void;

const { file, source, output, argv, commands, call } = JSON.parse(
  readFileSync(process.argv[2] ?? '', 'utf8'),
) as TrialOrder;
const script = new Script(source, { filename: file });
if (commands !== undefined) process.env['PATH'] = [commands, process.env['PATH']].join(delimiter);
process.argv = [process.execPath, file, ...argv];
process.on('exit', () => writeFileSync(output, script.createCachedData()));
const module: Module = { exports: {} };
(script.runInThisContext() as Wrapped)(module.exports, createRequire(file), module, file, dirname(file));
if (call !== undefined) module.exports[call.name]?.(...call.args);
