/**
 * The doctor's checks of LVM, for the groups that configurations of VMs name: a node's own groups are no matter of the
 * cluster. Pure.
 */
import { CxmError } from '../errors.ts';
import type { VolumeGroupInfo } from '../lvm/report.ts';
import type { VmDefinition } from './definition.ts';
import type { NodeFacts } from './doctor-facts.ts';
import { finding, perNode, type CheckResult, type Fault } from './doctor-verdicts.ts';

export function lvmChecks(nodes: readonly NodeFacts[], definitions: readonly VmDefinition[]): CheckResult[] {
  const groups = [...new Set(definitions.flatMap(({ volumes }) => volumes.map(({ group }) => group)))].sort();
  return [...visibility(nodes, groups), ...locking(nodes, groups), ...autoactivation(nodes, groups)];
}

function visibility(nodes: readonly NodeFacts[], groups: readonly string[]): CheckResult[] {
  const unanswered = perNode('volume-groups', nodes, '', ({ groups: found }) =>
    found instanceof CxmError
      ? { verdict: 'fail', found: `vgs does not answer: ${found.message}`, mend: 'look at `vgs` there, as root' }
      : undefined,
  ).filter(({ verdict }) => verdict !== 'ok');
  if (groups.length === 0) {
    const found = 'no configuration of a VM names a logical volume, so there is no group to look for';
    return [...unanswered, finding('volume-groups', '', 'ok', found)];
  }
  return [...unanswered, ...groups.flatMap((group) => visibilityOf(nodes, group))];
}

function visibilityOf(nodes: readonly NodeFacts[], group: string): CheckResult[] {
  const holders = nodes.flatMap((node) => {
    const found = groupOf(node, group);
    return found === undefined ? [] : [{ node: node.node, uuid: found.uuid }];
  });
  const missing = nodes
    .filter((node) => !(node.groups instanceof CxmError) && groupOf(node, group) === undefined)
    .map((node) => finding('volume-groups', node.node, 'fail', `${group} is not visible`, invisibleMending(node)));
  const uuids = new Set(holders.map(({ uuid }) => uuid));
  if (uuids.size > 1) {
    const places = holders.map(({ node, uuid }) => `${uuid} on ${node}`).join(', ');
    const mend =
      'these are different groups of one name: a VM that is moved would get other disks. Mend the SAN, or rename one';
    return [...missing, finding('volume-groups', '', 'fail', `${group} is not the same everywhere: ${places}`, mend)];
  }
  if (missing.length > 0) return missing;
  return holders.length === 0 ? [] : [finding('volume-groups', '', 'ok', `${group} is the same on all nodes`)];
}

function groupOf({ groups }: NodeFacts, name: string): VolumeGroupInfo | undefined {
  return groups instanceof CxmError ? undefined : groups.find((group) => group.name === name);
}

/** What on the node may hide a disk that others see. */
function invisibleMending({ lvmSettings }: NodeFacts): string {
  const filters = ['filter', 'global_filter'].flatMap((name) => {
    const value = lvmSettings?.get(name);
    return value === undefined || value === '["a|.*|"]' || value === '["a|.*/|"]' ? [] : [`${name}=${value}`];
  });
  const usesFile = lvmSettings?.get('use_devicesfile') === '1';
  const suspects = [
    ...(filters.length > 0 ? [`the filter of lvm.conf hides it (${filters.join(', ')})`] : []),
    ...(usesFile ? ['it is not in /etc/lvm/devices (`lvmdevices --adddev`)'] : []),
  ];
  const or = suspects.length > 0 ? `, or ${suspects.join(', or ')}` : '';
  return `the SAN is not connected (\`lsblk\`, \`multipath -ll\`)${or}`;
}

function locking(nodes: readonly NodeFacts[], groups: readonly string[]): CheckResult[] {
  return groups.flatMap((group) => {
    const types = new Set(nodes.flatMap((node) => groupOf(node, group)?.lockType ?? []));
    const type = [...types].find((one) => one !== '') ?? '';
    if (types.size === 0) return [];
    if (type === '') {
      const found = `${group} has no lock of LVM: cxm alone keeps its volumes to one node; change nothing by hand on two nodes at once`;
      return [finding('lvm-locking', '', 'ok', found)];
    }
    return perNode('lvm-locking', nodes, `${group} is locked by ${type}, and LVM uses it`, (node) =>
      lockFault(node, group, type),
    );
  });
}

function lockFault({ lvmSettings }: NodeFacts, group: string, type: string): Fault | undefined {
  if (lvmSettings?.get('use_lvmlockd') === '1') return undefined;
  const mend = 'set use_lvmlockd = 1 in lvm.conf and start lvmlockd (and sanlock or dlm)';
  return { verdict: 'fail', found: `${group} is locked by ${type}, but LVM does not use lvmlockd here`, mend };
}

/**
 * At boot, and whenever a disk appears, LVM activates every volume it is not told to leave alone. Volumes of VMs would be
 * active on all nodes then, open to whatever looks into them. Groups under lvmlockd wait for their lock.
 */
function autoactivation(nodes: readonly NodeFacts[], groups: readonly string[]): CheckResult[] {
  if (groups.length === 0) return [];
  return perNode('autoactivation', nodes, `LVM leaves ${groups.join(', ')} alone at boot`, (node) => {
    if (node.lvmSettings === undefined) {
      return { verdict: 'warn', found: 'LVM does not say its settings', mend: 'look at `lvmconfig --typeconfig full`' };
    }
    const bad = groups.filter((name) => activatesItself(node, name));
    if (bad.length === 0) return undefined;
    const commands = bad.map((name) => `\`vgchange --setautoactivation n ${name}\``).join(', ');
    return {
      verdict: 'warn',
      found: `LVM activates ${bad.join(', ')} by itself at boot, and so volumes of VMs that run elsewhere`,
      mend: `${commands}, or set auto_activation_volume_list in lvm.conf to the node's own groups; until then run \`cxm init\` at boot`,
    };
  });
}

function activatesItself(node: NodeFacts, name: string): boolean {
  const group = groupOf(node, name);
  if (group === undefined || group.lockType !== '' || node.lvmSettings === undefined) return false;
  if (node.groupsWithoutAutoactivation.includes(name)) return false;
  const list = node.lvmSettings.get('auto_activation_volume_list');
  if (list === undefined) return true;
  const items = [...list.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? '');
  // Tags are not looked at: what is activated by its tag counts as activated.
  return items.some((item) => item === name || item.startsWith(`${name}/`) || item.startsWith('@'));
}
