/**
 * Cluster files: a state and rules as text, for `cxm loadbalance --state FILE` and `--save-state`. Two forms of the same:
 * lines a person writes, and JSON. docs/balancer.md describes both.
 *
 * What is read is checked at once, and an error names file, line or field, what was found and what is allowed. What is
 * rendered reads back as the same.
 */
import { CxmError } from '../errors.ts';
import { parseJsonFile, renderJsonFile } from './file-json.ts';
import { parseTextFile, renderTextFile } from './file-text.ts';
import { checkRules, checkState, invalid, type BalanceRules, type ClusterState } from './state.ts';

export interface ClusterFile {
  readonly state: ClusterState;
  readonly rules: BalanceRules;
}

/** 64 MiB of text. */
const maxLength = 64 * 1024 * 1024;

/**
 * Either form: JSON begins with `{`.
 * @throws CxmError INVALID_INPUT
 */
export function parseClusterFile(text: string, fileName: string): ClusterFile {
  if (text.length > maxLength) throw invalid(`${fileName} is longer than 64 MiB`);
  const file = /^\s*\{/.test(text) ? parseJsonFile(text, fileName) : parseTextFile(text, fileName);
  try {
    checkState(file.state);
    checkRules(file.rules, file.state);
  } catch (error) {
    if (!(error instanceof CxmError)) throw error;
    throw new CxmError(error.code, `${fileName}: ${error.message}`, { hint: error.hint, cause: error });
  }
  return file;
}

/** Read back it is the same; the text leaves out rules that say nothing. */
export function renderClusterFile(file: ClusterFile, form: 'text' | 'json'): string {
  return form === 'json' ? renderJsonFile(file) : renderTextFile(file);
}
