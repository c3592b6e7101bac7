/**
 * Where cxm.conf is: the file that is asked for, else the one that CXM_CONF names (tests, the sandbox), else
 * /etc/xen/cxm.conf. Only the last one may be missing, and then every key has its default: a name that somebody gave
 * is a mistake when nothing is there, and a cluster with default settings is not what he meant.
 */
import { readFileSync, statSync } from 'node:fs';
import { CxmError } from '../errors.ts';
import { cxmConfTable, type CxmConf, type CxmConfKey } from './cxm-conf.ts';
import { parseSettingsOf, resolveOf, type Setting } from './load.ts';

export const cxmConfPath = '/etc/xen/cxm.conf';
const maxFileBytes = 1024 ** 2;

export interface CxmConfFile {
  readonly path: string;
  readonly exists: boolean;
  /** What the file sets, and where; all else has its default. */
  readonly settings: ReadonlyMap<CxmConfKey, Setting>;
  readonly configuration: CxmConf;
}

/**
 * The configuration of the cluster.
 * @throws CxmError CONFIG with file, line, key, what was found and what is allowed
 */
export function loadCxmConf(path?: string): CxmConf {
  return readCxmConf(path).configuration;
}

/** The configuration and where each value comes from. @throws as `loadCxmConf` */
export function readCxmConf(asked?: string): CxmConfFile {
  const named = asked ?? (process.env['CXM_CONF'] || undefined);
  const path = named ?? cxmConfPath;
  const text = readText(path, named !== undefined);
  const settings = parseSettingsOf(cxmConfTable, text ?? '', path);
  return { path, exists: text !== undefined, settings, configuration: resolveOf(cxmConfTable, settings) };
}

function readText(path: string, mustExist: boolean): string | undefined {
  try {
    const status = statSync(path);
    if (!status.isFile()) throw new CxmError('CONFIG', `${path} is no file`);
    if (status.size > maxFileBytes) throw new CxmError('CONFIG', `${path} is larger than ${maxFileBytes} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof CxmError) throw error;
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (isMissing && !mustExist) return undefined;
    const why = isMissing ? 'there is no such file' : error instanceof Error ? error.message : String(error);
    throw new CxmError('CONFIG', `${path} can't be read: ${why}`, {
      hint: '`man cxm.conf` says what stands in it',
      cause: error,
    });
  }
}
