/** `cxmd` of a sandbox: the daemon itself, over the simulated nodes. Which node it is says the environment, or the host name. */
import { hostname } from 'node:os';
import { loadCxmConf } from '../../config/cxm-conf-file.ts';
import { diskProgram } from '../../cxmd/disk-program.ts';
import { openLogStream } from '../../cxmd/log-stream.ts';
import { clusterToolkit } from '../../cxmd/toolkit.ts';
import { handleWords, version } from '../../cxmd/words.ts';
import { renderLine } from '../../ha/daemon/log.ts';
import { runDaemon } from '../../ha/daemon/run.ts';
import { layoutOf, nodeVariable, sandboxVariable } from '../layout.ts';
import { confPath, sandboxCluster } from './environment.ts';

function main(): void {
  const layout = layoutOf(process.env[sandboxVariable] ?? '');
  const localName = process.env[nodeVariable] ?? hostname();
  const signal = new AbortController().signal;
  const write = openLogStream(1);
  const reporter = {
    step: () => undefined,
    note: (_severity: string, text: string) => write(renderLine('started_vm', text)),
  };
  void runDaemon({
    localNameIn: () => localName,
    version,
    diskProgram,
    configuration: () => loadCxmConf(confPath(layout, localName)),
    write,
    toolkit: (configuration) =>
      clusterToolkit({
        localName,
        configuration,
        open: (nodes) => sandboxCluster(layout, { conf: configuration(), nodes, refresh: true, reporter, signal }),
      }),
  });
}

handleWords(process.argv.slice(2), main);
