/** `cxm` itself: this machine, cxm.conf, and the nodes that it names. */
import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { openCluster } from '../cluster/open.ts';
import { readCxmConf, type CxmConfFile } from '../config/cxm-conf-file.ts';
import { localMachine } from '../host/hold.ts';
import { daemonOf, membershipFrom, turnout } from './daemon.ts';
import type { CliEnvironment } from './environment.ts';
import { nodeNameAmong } from '../host-name.ts';
import { reachNodes } from './nodes.ts';
import { processParts, startCxm } from './process.ts';

function realEnvironment(): CliEnvironment {
  let file: CxmConfFile | undefined;
  const configuration = (): CxmConfFile => (file ??= readCxmConf());
  const localName = (): string => nodeNameAmong(hostname(), configuration().configuration.ALLOWED_NODES);
  const daemon = daemonOf(() => configuration().configuration);
  return {
    ...processParts(),
    get localName() {
      return localName();
    },
    commands: localMachine,
    configuration,
    daemon,
    async open(request) {
      const conf = configuration().configuration;
      const access = reachNodes(localName(), conf);
      const { machineOf } = access;
      const facts = { daemon: await daemon(), conf, machineOf, commands: localMachine };
      const { nodes: only, requireUsable } = await turnout(request, facts);
      const { refresh, reporter, signal } = request;
      const cluster = openCluster({ configuration: conf, machineOf, refresh, reporter, signal, only });
      return { cluster: { ...cluster, requireUsable }, close: access.close };
    },
    async membership() {
      return membershipFrom(await daemon(), configuration().configuration.ALLOWED_NODES, localName());
    },
    attachConsole,
  };
}

/** xl has the terminal until the user leaves the console. */
function attachConsole(domainId: number): Promise<number> {
  const words = process.getuid?.() === 0 ? ['xl'] : ['sudo', '-n', 'xl'];
  const child = spawn(words[0] ?? 'xl', [...words.slice(1), 'console', String(domainId)], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

startCxm(realEnvironment());
