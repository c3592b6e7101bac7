/**
 * How a driver's words reach oned: log lines with a severity, and at most one error, in the form that the installed
 * version puts into the VM's record. Up to 6.0 that is the text between two marker lines, from
 * 6.2 on plain standard error, which 7.x glues together without a separator. The installation's own
 * `scripts_common.sh` tells which: it holds the marker or not. Every text becomes one bounded line without control
 * characters, so that nothing a user typed can forge another line.
 */
import type { CxmError } from '../errors.ts';
import { printable } from './printable.ts';

export type Severity = 'INFO' | 'DEBUG' | 'WARN' | 'ERROR';

/** `marked`: text between the marker lines; `plain`: one line of standard error. */
export type ErrorForm = 'marked' | 'plain';

/** A log line is cut here: oned reads lines into a buffer of 64 KiB, and people read less. */
export const maxLogCharacters = 2000;
/** `onevm show` cuts at about 100, the web interface shows all. */
export const maxErrorCharacters = 1000;

/** What differs from one driver process to the next. */
export interface ReportTarget {
  /** The action, such as `clone`; it leads each log line. */
  readonly action: string;
  /** Writes to standard error. */
  readonly write: (text: string) => void;
  /** From `errorForm`. */
  readonly form: ErrorForm;
  /** DEBUG lines are written only when this is set. */
  readonly debug: boolean;
}

export interface Report {
  info(text: string): void;
  debug(text: string): void;
  warn(text: string): void;
  /** Writes the one error that the user is to see. Later calls write a log line instead. */
  fail(error: CxmError): void;
}

/** Makes the report of one action. */
export function createReport(target: ReportTarget): Report {
  let failed = false;
  const log = (severity: Severity, text: string): void => target.write(logLine(severity, target.action, text));
  return {
    info: (text) => log('INFO', text),
    debug: (text) => {
      if (target.debug) log('DEBUG', text);
    },
    // Severity WARN is known from 6.10 on only; INFO reaches the VM's log in every version.
    warn: (text) => log('INFO', `warning: ${text}`),
    fail: (error) => {
      if (failed) log('ERROR', errorSentence(error));
      else target.write(errorText(error, target.form));
      failed = true;
    },
  };
}

/** `INFO: clone: text`, ended by a newline. */
export function logLine(severity: Severity, action: string, text: string): string {
  return `${severity}: ${action}: ${oneLine(text, maxLogCharacters)}\n`;
}

/** The error in the form of the installed version, with its newline. */
export function errorText(error: CxmError, form: ErrorForm): string {
  const sentence = errorSentence(error);
  if (form === 'plain') return `${sentence}\n`;
  return `ERROR MESSAGE --8<------\n${sentence}\nERROR MESSAGE ------>8--\n`;
}

/**
 * Sentence, what became of the system, hint and code in one line. It must not look like a log line, or 7.x would not
 * show it, nor contain a marker.
 */
export function errorSentence(error: CxmError): string {
  const left = { nothing: '', 'rolled-back': ' Everything was rolled back.', maybe: ' Something may be left behind.' };
  const message = oneLine(error.message, maxErrorCharacters).replace(/[.\s]+$/, '');
  const hint = oneLine(error.hint, 300).replace(/[.\s]+$/, '');
  const end = /[?!]$/.test(message) ? '' : '.';
  const text = `${message}${end}${left[error.changed]} Hint: ${hint}. [${error.code}]`;
  return text.replace(/^(INFO|DEBUG|WARN|ERROR|LOG)(?=[\s:])/i, "'$1'").replace(/-*(?:8<|>8)-*/g, '(cut)');
}

/** Newlines and what else would break a line folded to blanks or made visible; cut in the middle when too long. */
export function oneLine(text: string, limit: number): string {
  const folded = printable(text.replace(/\s*[\r\n]+\s*/g, ' ').trim(), text.length * 10);
  if (folded.length <= limit) return folded;
  const half = Math.floor((limit - 5) / 2);
  return `${folded.slice(0, half)} ... ${folded.slice(-half)}`;
}

/**
 * Which form the installation wants.
 * @param actionFile path of the running action, `<remotes>/tm/cxm/clone` or `<remotes>/vmm/cxm/deploy`
 * @param oneLocation value of ONE_LOCATION in a self-contained installation
 * @param readFile text of a file; throws when there is none
 */
export function errorForm(
  actionFile: string,
  oneLocation: string | undefined,
  readFile: (path: string) => string,
): ErrorForm {
  for (const path of helperScripts(actionFile, oneLocation)) {
    try {
      return readFile(path).includes('8<') ? 'marked' : 'plain';
    } catch {
      continue;
    }
  }
  return 'plain';
}

/** Where `scripts_common.sh` may be: beside the drivers from 4.x on and on hosts, in the library directory in 3.x. */
function helperScripts(actionFile: string, oneLocation: string | undefined): string[] {
  const remotes = actionFile.split('/').slice(0, -3).join('/');
  const paths = actionFile.startsWith('/') ? [`${remotes}/scripts_common.sh`] : [];
  if (oneLocation?.startsWith('/') === true) paths.push(`${oneLocation}/lib/sh/scripts_common.sh`);
  return [...paths, '/usr/lib/one/sh/scripts_common.sh'];
}
