/** `cxmd` itself: this machine, cxm.conf, and the nodes that it names. */
import { hostname } from 'node:os';
import { openCluster } from '../cluster/open.ts';
import type { Reporter } from '../cluster/cluster.ts';
import type { CxmConf } from '../config/cxm-conf.ts';
import { loadCxmConf } from '../config/cxm-conf-file.ts';
import { renderLine } from '../ha/daemon/log.ts';
import { runDaemon } from '../ha/daemon/run.ts';
import type { Machine } from '../host/hold.ts';
import { connectNodes, type Nodes } from '../host/nodes.ts';
import { nodeNameAmong } from '../host-name.ts';
import { diskProgram } from './disk-program.ts';
import { openLogStream } from './log-stream.ts';
import { clusterToolkit } from './toolkit.ts';
import { handleWords, version } from './words.ts';

/** Connections that are kept, until cxm.conf says something else about them. */
function keptNodes(localName: string): (conf: CxmConf) => Nodes {
  let kept: { readonly nodes: Nodes; readonly settings: string } | undefined;
  return ({ PATH, SSH_USER, CONNECT_TIMEOUT }) => {
    const settings = JSON.stringify([PATH, SSH_USER, CONNECT_TIMEOUT]);
    if (kept?.settings === settings) return kept.nodes;
    // Work that is under way keeps its connections, which end with it.
    const nodes = connectNodes({ localName, path: PATH, user: SSH_USER, connectTimeoutMs: CONNECT_TIMEOUT * 1000 });
    kept = { nodes, settings };
    return nodes;
  };
}

function main(): void {
  const signal = new AbortController().signal;
  const write = openLogStream(1);
  const reporter: Reporter = {
    step: () => undefined,
    note: (_severity, text) => write(renderLine('started_vm', text)),
  };
  const localNameIn = (conf: CxmConf): string => nodeNameAmong(hostname(), conf.ALLOWED_NODES);
  void runDaemon({
    localNameIn,
    version,
    diskProgram,
    configuration: () => loadCxmConf(),
    write,
    toolkit(configuration) {
      const localName = localNameIn(configuration());
      const nodesFor = keptNodes(localName);
      return clusterToolkit({
        localName,
        configuration,
        open(only) {
          const nodes = nodesFor(configuration());
          const machineOf = (name: string): Machine => nodes.node(name).machine;
          return openCluster({ configuration: configuration(), only, machineOf, refresh: true, reporter, signal });
        },
      });
    },
  });
}

handleWords(process.argv.slice(2), main);
