/**
 * `one-migrate VM SOURCE_HOST DESTINATION_HOST`: cxm's hook after a migration, run as root on the source node. Tells
 * OpenNebula where the VM lives now; the library decides, this file brings configuration, clock and syslog.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { hostCxmrcPath, parseSettings, resolveCxmrc, settingsFromRecord } from '../src/config/load.ts';
import { asCxmError } from '../src/errors.ts';
import { localCommands } from '../src/host/commands.ts';
import { createLook } from '../src/one/hook/destination.ts';
import { runMigrateHook } from '../src/one/hook/migrate-hook.ts';
import { errorSentence, oneLine } from '../src/one/report.ts';

/** Tests and odd installations may name another file. */
const configurationFile = process.env['CXM_CONFIGURATION'] ?? hostCxmrcPath;

async function main(): Promise<void> {
  // A file without VG_NAME will do: the configuration of the VM says it, too.
  const unused = settingsFromRecord({ VG_NAME: 'unused' }, 'one-migrate');
  const settings = parseSettings(readFile(configurationFile) ?? '', configurationFile);
  const cxmrc = resolveCxmrc(unused, settings);
  const volumes = { volumeGroup: cxmrc.VG_NAME, volumePrefix: cxmrc.LV_PREFIX };
  const connectTimeoutSeconds = cxmrc.CONNECT_TIMEOUT;
  const configurationDirectory = cxmrc.CFG_DIR;
  const localHost = hostname();
  await runMigrateHook(
    process.argv.slice(2),
    {
      frontendHost: cxmrc.ONE_HOST,
      frontendUser: cxmrc.ONE_USER,
      runAs: process.getuid?.() === 0 ? cxmrc.ONE_USER : undefined,
      configurationDirectory,
      connectTimeoutSeconds,
      retryTimeoutMs: cxmrc.ONE_RETRY_TIMEOUT * 1000,
      volumes: settings.has('VG_NAME') ? volumes : undefined,
    },
    {
      commands: localCommands,
      look: createLook({ connectTimeoutSeconds, configurationDirectory, localHost }),
      readFile,
      nowMs: () => performance.now(),
      sleep: async (ms) => void (await setTimeout(ms)),
      localHost,
      log,
    },
  );
}

async function failed(error: unknown): Promise<void> {
  const failure = asCxmError(error);
  if (failure.code === 'CONFIG') await log(errorSentence(failure));
  process.stderr.write(`one-migrate: ${errorSentence(failure)}\n`);
  process.exitCode = 1;
}

function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Syslog is a courtesy: a machine without it must not keep OpenNebula from being told. */
async function log(line: string): Promise<void> {
  const options = { timeoutMs: 10_000, okExitCodes: 'any' } as const;
  await localCommands.run('logger', ['-t', 'one-migrate', '--', oneLine(line, 1000)], options).catch(() => undefined);
}

// A host that has not answered is not waited for: whatever is still open ends with this process.
void main()
  .catch(failed)
  .finally(() => process.exit());
