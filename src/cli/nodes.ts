/** How cxm comes to the nodes: to this one by processes, to the others by one kept-open connection each. */
import type { CxmConf } from '../config/cxm-conf.ts';
import type { Machine } from '../host/hold.ts';
import { connectNodes } from '../host/nodes.ts';

export interface NodeAccess {
  machineOf(node: string): Machine;
  close(): Promise<void>;
}

/** Reaches nobody yet. */
export function reachNodes(localName: string, { PATH, SSH_USER, CONNECT_TIMEOUT }: CxmConf): NodeAccess {
  const connectTimeoutMs = CONNECT_TIMEOUT * 1000;
  const nodes = connectNodes({ localName, path: PATH, user: SSH_USER, connectTimeoutMs });
  return {
    machineOf: (node) => nodes.node(node).machine,
    close: () => Promise.resolve(nodes.close()),
  };
}
