/** Facts made up for tests: a cluster in which all is well. */
import type { ClusterFacts, NodeFacts } from '../../src/cluster/doctor-facts.ts';
import type { DoctorContext } from '../../src/cluster/doctor.ts';
import { parseHostInfo } from '../../src/xen/domain-list.ts';
import { recording } from '../xen/recording.ts';

export const context: DoctorContext = {
  localName: 'node1',
  allowedNodes: ['node1', 'node2'],
  configurationPath: '/etc/xen/cxm.conf',
  configurationError: undefined,
  fencing: { programs: ['cxm_fence', 'cxm_power'], disabled: false },
};

const text = "ALLOWED_NODES = ['node1', 'node2']\n";

export function nodeFacts(node: string, values: Partial<NodeFacts> = {}): NodeFacts {
  const vm = 'shop';
  return {
    node,
    userId: 0,
    configuration: { text, fingerprint: 'abc' },
    missingTools: [],
    toolstack: parseHostInfo(recording('xl-4.17-info').stdout),
    bootedWithXen: true,
    groups: [
      { name: 'VG0', uuid: 'u-1', sizeBytes: 1, freeBytes: 1, extentBytes: 1, lockType: '' },
      { name: 'system', uuid: `own-${node}`, sizeBytes: 1, freeBytes: 1, extentBytes: 1, lockType: '' },
    ],
    lvmSettings: new Map([['use_lvmlockd', '0']]),
    groupsWithoutAutoactivation: ['VG0'],
    xendomains: [],
    sshd: { intervalSeconds: 5, count: 3 },
    bridges: ['xenbr0'],
    cxmVersion: '1.0',
    nodeVersion: 'v20.1.0',
    missingFencePrograms: [],
    hasWatchdog: true,
    configs: [{ vm, path: `/etc/xen/vm/${vm}`, text: `name = "${vm}"\ndisk = ["phy:/dev/VG0/shop,xvda,w"]\n` }],
    clockOffsetMs: 0,
    reach: [{ to: node === 'node1' ? 'node2' : 'node1', error: undefined }],
    ...values,
  };
}

/** @param second what is different about node2 */
export function clusterFacts(second: Partial<NodeFacts> = {}): ClusterFacts {
  return { nodes: [nodeFacts('node1'), nodeFacts('node2', second)], silent: [] };
}
