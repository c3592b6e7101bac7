/**
 * cxm-host: the one program of the drivers that works as root on a Xen host. sudo lets the user oned runs as start it,
 * without arguments; everything else is said over standard input and output (protocol.ts).
 */
import { readFileSync } from 'node:fs';
import { hostCxmrcPath } from '../config/load.ts';
import { localCommands } from '../host/commands.ts';
import { LvmVolumes } from '../lvm/lvm.ts';
import { createRootFileSystemTools } from '../transfer/filesystem.ts';
import { loadCxmConf } from '../config/cxm-conf-file.ts';
import { noCluster, programGuard, type ClusterGuard } from './cluster-guard.ts';
import { DescriptorSource, isConnection } from './descriptor.ts';
import { operations } from './operations/table.ts';
import type { Owner } from './operation.ts';
import { serve } from './session.ts';

/** Of the helper and of `cxm`, whose locks are there, too. */
const runDirectory = '/run/cxm';

/** Who called sudo; root itself when nobody did. */
function caller(): Owner {
  const uid = Number(process.env.SUDO_UID ?? 0);
  const gid = Number(process.env.SUDO_GID ?? 0);
  return Number.isSafeInteger(uid) && Number.isSafeInteger(gid) ? { uid, gid } : { uid: 0, gid: 0 };
}

function hostSettings(): string | undefined {
  try {
    return readFileSync(hostCxmrcPath, 'utf8');
  } catch {
    return undefined;
  }
}

/** Until cxmd answers for it, the configuration says whether this host belongs to a cluster. */
function guard(): ClusterGuard {
  return loadCxmConf().ALLOWED_NODES.length === 0 ? noCluster : programGuard('/usr/local/sbin/cxm', runDirectory);
}

async function main(): Promise<void> {
  // The end of the caller is seen on standard input; signals must not cut a roll-back short.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'] as const) process.on(signal, () => undefined);
  process.stdout.on('error', () => undefined);
  process.umask(0o022);
  process.chdir('/');
  const input = isConnection(0) ? new DescriptorSource(0) : process.stdin;
  await serve(input, process.stdout, {
    ...(isConnection(1) && { outputDescriptor: 1 }),
    commands: localCommands,
    owner: caller(),
    operations,
    runDirectory,
    volumes: (settings) => new LvmVolumes(localCommands, settings.VG_NAME),
    fileSystems: (settings) => createRootFileSystemTools(localCommands, settings.TMP_ROOT),
    guard,
    hostSettings,
    audit: (line) =>
      void localCommands.run('logger', ['-t', 'cxm-host', '--', line], { okExitCodes: 'any' }).catch(() => undefined),
  });
  process.exit(0);
}

void main();
