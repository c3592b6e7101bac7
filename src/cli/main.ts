/** `cxm` itself: this machine, cxm.conf, and the nodes that it names. */
import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { openCluster } from '../cluster/open.ts';
import { readCxmConf, type CxmConfFile } from '../config/cxm-conf-file.ts';
import { localMachine } from '../host/hold.ts';
import type { CliEnvironment } from './environment.ts';
import { localNameAmong } from '../host-name.ts';
import { reachNodes } from './nodes.ts';
import { processParts, startCxm } from './process.ts';

function realEnvironment(): CliEnvironment {
  let file: CxmConfFile | undefined;
  const configuration = (): CxmConfFile => (file ??= readCxmConf());
  const localName = (): string => localNameAmong(hostname(), configuration().configuration.ALLOWED_NODES);
  return {
    ...processParts(),
    get localName() {
      return localName();
    },
    commands: localMachine,
    configuration,
    open({ nodes, refresh, reporter, signal }) {
      const conf = configuration().configuration;
      const access = reachNodes(localName(), conf);
      const only = nodes === undefined ? {} : { only: nodes };
      const { machineOf } = access;
      const cluster = openCluster({ configuration: conf, machineOf, refresh, reporter, signal, ...only });
      return Promise.resolve({ cluster, close: access.close });
    },
    membership() {
      const isMember = configuration().configuration.ALLOWED_NODES.includes(localName());
      return Promise.resolve({ isMember, state: 'normal', source: 'cxm.conf' });
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
