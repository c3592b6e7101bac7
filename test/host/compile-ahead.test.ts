/** Programs that bring their byte code: same program, and V8 really takes the code. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileAhead } from '../../scripts/compile-ahead.ts';

const head = '#!/usr/bin/env node\n// It stays readable.\n';
const program = `"use strict";
function greet(name) { return 'good day, ' + name + ' \\u2028 */ \${1} ' + require('path').basename(__filename); }
exports.greet = (name) => console.log(greet(name));
if (process.argv[2] !== 'quiet') exports.greet(process.argv[2] ?? 'nobody');
`;
const greeting = 'good day, all \u2028 */ ${1} program\n';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cxm-test-'));
  file = join(directory, 'program');
  writeFileSync(file, head + program);
  await compileAhead(file, head, { argv: ['quiet'], call: { name: 'greet', args: ['trial'] } });
});
afterEach(() => rmSync(directory, { recursive: true }));

/** What the program prints, and whether V8 refused its byte code; undefined: it was given none. */
function run(): { readonly printed: string; readonly refused: boolean | undefined } {
  const spy = join(directory, 'spy.cjs');
  const told = join(directory, 'told.json');
  writeFileSync(
    spy,
    `const vm = require('vm');
    vm.Script = class extends vm.Script {
      constructor(...args) {
        super(...args);
        require('fs').writeFileSync(${JSON.stringify(told)}, JSON.stringify({ refused: this.cachedDataRejected }));
      }
    };`,
  );
  const printed = execFileSync(process.execPath, ['--require', spy, file, 'all'], { encoding: 'utf8' });
  const { refused } = JSON.parse(readFileSync(told, 'utf8')) as { readonly refused?: boolean };
  return { printed, refused };
}

describe('a program that brings its byte code', () => {
  test('does what it did before, by code that V8 takes', () => {
    expect(readFileSync(file, 'utf8').startsWith(head)).toBe(true);
    expect(run()).toEqual({ printed: greeting, refused: false });
  });

  test('is compiled from its text by another Node than the one that built it', () => {
    writeFileSync(file, readFileSync(file, 'utf8').replace(process.version, 'v20.0.0-other'));
    expect(run()).toEqual({ printed: greeting, refused: undefined });
  });

  test('is compiled from its text when the code is damaged at its head', () => {
    writeFileSync(file, readFileSync(file, 'utf8').replace(/&& ".{8}/, '&& "AAAAAAAA'));
    expect(run()).toEqual({ printed: greeting, refused: true });
  });
});

test('a build ends with an error when the trial run leaves no byte code', async () => {
  writeFileSync(file, `${head}process.kill(process.pid, 'SIGKILL');`);
  await expect(compileAhead(file, head, { argv: [] })).rejects.toThrow(/program left no byte code/);
});
