/**
 * cxm-host of a sandbox's node: the real operations, with volumes that are files of a directory instead of LVM, and with
 * loop mounts only where the tour has found that they work. Which node this is, the stand-in for ssh has said in the
 * environment. It also notes how many bytes came and went, which is what the tour shows as sent.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { noCluster, programGuard } from '../../agent/cluster-guard.ts';
import { DescriptorSource } from '../../agent/descriptor.ts';
import { operations } from '../../agent/operations/table.ts';
import { serve, type HelperEnvironment } from '../../agent/session.ts';
import { localCommands } from '../../host/commands.ts';
import { rootFileSystemTools } from '../../transfer/filesystem.ts';
import { unprivilegedFileSystemTools } from '../../transfer/unprivileged-filesystem.ts';
import {
  layoutOf,
  mountVariable,
  nodeOf,
  nodeVariable,
  rawVariable,
  sandboxVariable,
  type Layout,
  type NodeLayout,
} from '../layout.ts';
import type { TrafficLine } from '../traffic.ts';
import { DirectoryVolumes } from './directory-volumes.ts';

function environmentOf(layout: Layout, node: NodeLayout, note: (line: string) => void): HelperEnvironment {
  const mounts = process.env[mountVariable] === 'yes';
  return {
    commands: localCommands,
    owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    operations,
    runDirectory: node.runDirectory,
    fileSystems: () => (mounts ? rootFileSystemTools : unprivilegedFileSystemTools(localCommands)),
    volumes: (settings) =>
      new DirectoryVolumes(localCommands, {
        name: settings.VG_NAME,
        directory: node.groupDirectory,
        devices: node.devices,
      }),
    guard: () =>
      existsSync(node.clusterConf) ? programGuard(join(layout.library, 'cxm'), node.runDirectory) : noCluster,
    hostSettings: () => readFileSync(`${node.directory}/etc/cxm/cxmrc`, 'utf8'),
    audit: note,
  };
}

async function main(): Promise<void> {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'] as const) process.on(signal, () => undefined);
  process.stdout.on('error', () => undefined);
  process.umask(0o022);
  process.chdir('/');
  const layout = layoutOf(process.env[sandboxVariable] ?? '');
  const node = nodeOf(layout, process.env[nodeVariable] ?? '');
  let operation = '';
  const raw = process.env[rawVariable] === 'yes';
  await serve(raw ? new DescriptorSource(0) : process.stdin, process.stdout, {
    ...environmentOf(layout, node, (line) => {
      operation ||= line.split(' ', 1)[0] ?? '';
      appendFileSync(node.syslog, `cxm-host: ${line}\n`);
    }),
    ...(raw && { outputDescriptor: 1 }),
  });
  const line: TrafficLine = {
    node: node.name,
    operation,
    toHost: !raw && process.stdin instanceof Socket ? process.stdin.bytesRead : 0,
    fromHost: process.stdout instanceof Socket ? process.stdout.bytesWritten : 0,
  };
  appendFileSync(layout.traffic, `${JSON.stringify(line)}\n`);
  process.exit(0);
}

void main();
