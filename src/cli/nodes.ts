/** How cxm comes to the nodes: to this one by processes, to the others by one connection each. */
import type { CxmConf } from '../config/cxm-conf.ts';
import { CxmError } from '../errors.ts';
import { localMachine, type Machine } from '../host/hold.ts';

export interface NodeAccess {
  machineOf(node: string): Machine;
  close(): Promise<void>;
}

/** Reaches nobody yet. */
export function reachNodes(localName: string, _configuration: CxmConf): NodeAccess {
  return {
    machineOf: (node) => (node === localName ? localMachine : unreachable(node)),
    close: () => Promise.resolve(),
  };
}

function unreachable(node: string): Machine {
  const refuse = (): never => {
    throw new CxmError('HOST_UNREACHABLE', `this build of cxm has no way to ${node}`);
  };
  return { run: async () => refuse(), hold: async () => refuse() };
}
