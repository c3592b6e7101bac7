/** What is wrong with a cluster, by looking only. Each finding is one sentence with what it is about. Pure. */
import { CxmError } from '../errors.ts';
import { formatVolumeName, type VolumeName } from '../lvm/device-path.ts';
import { meaningOf, needsMonitor, rowsOf, runsHere, virtualMachineName, type DomainRow } from '../xen/domain-list.ts';
import { definitionOf, type VmDefinition } from './definition.ts';
import { fingerprint, type VmConfig } from './node-files.ts';
import { volumeIn, whereabouts, type NodeSight } from './survey.ts';

export const findingKinds = {
  'runs-twice': 'A VM runs on more than one node.',
  'shared-volume': 'Two configurations name the same volume.',
  'missing-bridge': 'A bridge is missing on a node that others have.',
  'missing-config': 'A configuration is missing on a node that others have.',
  'config-differs': 'Nodes have different configurations of a VM.',
  'bad-config': 'A configuration can not be read.',
  'two-configs': 'A node has two configurations of a VM: FQDN and FQDN.cfg.',
  'missing-volume': 'A volume that a configuration names does not exist.',
  'active-elsewhere': 'A volume is active on a node where its VM does not run.',
  'inactive-where-running': 'A volume is not active where its VM runs.',
  'link-without-vm': 'There is an autostart link, but the VM does not run there.',
  'vm-without-link': 'A VM runs, but has no autostart link there.',
  'several-links': 'A VM has autostart links on several nodes.',
  'lost-monitor': 'A guest has ended, and nobody removes or restarts its domain.',
  'left-by-migration': 'A domain was left by a migration or save.',
  'no-config': 'A domain runs for which no node has a configuration.',
  'group-differs': 'Nodes have different volume groups of one name.',
} as const;

export type FindingKind = keyof typeof findingKinds;

export interface Finding {
  readonly kind: FindingKind;
  /** `error`: data is in danger or a VM can't start; `warning`: something is not as it should be. */
  readonly severity: 'error' | 'warning';
  readonly vm?: string;
  readonly nodes: readonly string[];
  readonly text: string;
}

export interface CheckedNode {
  readonly sight: NodeSight;
  readonly configs: readonly VmConfig[];
}

export function findProblems(nodes: readonly CheckedNode[]): readonly Finding[] {
  const readings = readAll(nodes);
  return [
    ...readings.findings,
    ...runsTwice(nodes),
    ...groups(nodes),
    ...bridges(nodes),
    ...configs(nodes),
    ...twoConfigs(nodes),
    ...sharedVolumes(readings.definitions),
    ...readings.definitions.flatMap((definition) => volumes(nodes, definition)),
    ...links(nodes),
    ...leftovers(nodes),
  ];
}

interface Readings {
  readonly definitions: readonly VmDefinition[];
  readonly findings: readonly Finding[];
}

/** One definition a VM: that of the first node that has a readable one. */
function readAll(nodes: readonly CheckedNode[]): Readings {
  const definitions = new Map<string, VmDefinition>();
  const findings: Finding[] = [];
  for (const { sight, configs } of nodes) {
    for (const config of configs) {
      try {
        const definition = definitionOf(config);
        if (!definitions.has(config.vm)) definitions.set(config.vm, definition);
      } catch (error) {
        const why = error instanceof CxmError ? error.message : String(error);
        findings.push(finding('bad-config', 'warning', [sight.node], `${sight.node}: ${why}`, config.vm));
      }
    }
  }
  return { definitions: [...definitions.values()], findings };
}

function runsTwice(nodes: readonly CheckedNode[]): Finding[] {
  const sights = nodes.map(({ sight }) => sight);
  return vmsOn(sights).flatMap((vm) => {
    const { running } = whereabouts(sights, vm);
    if (running.length < 2) return [];
    const places = running.map(({ node, row }) => `${node} (domain ${row.id})`).join(' and ');
    return [
      finding(
        'runs-twice',
        'error',
        running.map(({ node }) => node),
        `${vm} runs on ${places}`,
        vm,
      ),
    ];
  });
}

function vmsOn(sights: readonly NodeSight[]): string[] {
  const names = sights.flatMap(({ rows }) =>
    rows.filter(({ id }) => id !== 0).flatMap((row) => virtualMachineName(row) ?? []),
  );
  return [...new Set(names)].sort();
}

function groups(nodes: readonly CheckedNode[]): Finding[] {
  const names = new Set(nodes.flatMap(({ sight }) => sight.groups.map(({ name }) => name)));
  return [...names].flatMap((name) => {
    const holders = nodes.flatMap(({ sight }) => {
      const group = sight.groups.find((candidate) => candidate.name === name);
      return group === undefined ? [] : [{ node: sight.node, uuid: group.uuid }];
    });
    if (new Set(holders.map(({ uuid }) => uuid)).size < 2) return [];
    const parties = [...new Set(holders.map(({ uuid }) => uuid))].map((uuid) =>
      holders.filter((holder) => holder.uuid === uuid).map(({ node }) => node),
    );
    const text = `volume group ${name} of ${parties.map((party) => party.join(', ')).join(' is another one than that of ')}`;
    const list = holders.map(({ node }) => node);
    return [finding('group-differs', 'warning', list, text)];
  });
}

function bridges(nodes: readonly CheckedNode[]): Finding[] {
  const all = new Set(nodes.flatMap(({ sight }) => sight.bridges));
  return [...all].sort().flatMap((bridge) => {
    const without = nodes.filter(({ sight }) => !sight.bridges.includes(bridge)).map(({ sight }) => sight.node);
    if (without.length === 0) return [];
    return [finding('missing-bridge', 'warning', without, `bridge ${bridge} is missing on ${without.join(', ')}`)];
  });
}

function configs(nodes: readonly CheckedNode[]): Finding[] {
  const all = [...new Set(nodes.flatMap(({ configs: own }) => own.map(({ vm }) => vm)))].sort();
  return all.flatMap((vm) => {
    const texts = nodes.map(({ sight, configs: own }) => ({
      node: sight.node,
      config: own.find((one) => one.vm === vm),
    }));
    const without = texts.filter(({ config }) => config === undefined).map(({ node }) => node);
    if (without.length > 0) {
      const text = `the configuration of ${vm} is missing on ${without.join(', ')}`;
      return [finding('missing-config', 'warning', without, text, vm)];
    }
    const prints = new Set(texts.map(({ config }) => fingerprint(config?.text ?? '')));
    if (prints.size < 2) return [];
    const list = texts.map(({ node }) => node);
    return [finding('config-differs', 'warning', list, `the configurations of ${vm} differ between the nodes`, vm)];
  });
}

/** Such a VM can't be started: nobody knows which one is right. */
function twoConfigs(nodes: readonly CheckedNode[]): Finding[] {
  return nodes.flatMap(({ sight, configs: own }) =>
    [...new Set(own.map(({ vm }) => vm))].flatMap((vm) => {
      const paths = own.filter((one) => one.vm === vm).map(({ path }) => path);
      if (paths.length < 2) return [];
      const text = `${sight.node} has two configurations of ${vm}: ${paths.sort().join(' and ')}`;
      return [finding('two-configs', 'error', [sight.node], text, vm)];
    }),
  );
}

/** Volumes that a VM writes to while another one uses them; any number may read one that nobody writes to. */
function sharedVolumes(definitions: readonly VmDefinition[]): Finding[] {
  const users = new Map<string, string[]>();
  const written = new Set<string>();
  for (const { vm, volumes: own, readOnlyVolumes } of definitions) {
    for (const volume of own) written.add(formatVolumeName(volume));
    for (const name of [...own, ...readOnlyVolumes].map(formatVolumeName)) {
      users.set(name, [...(users.get(name) ?? []), vm]);
    }
  }
  return [...users]
    .filter(([name, vms]) => vms.length > 1 && written.has(name))
    .map(([name, vms]) => finding('shared-volume', 'error', [], `${name} is a disk of ${vms.join(' and of ')}`));
}

function volumes(nodes: readonly CheckedNode[], definition: VmDefinition): Finding[] {
  const { vm, volumes: own, readOnlyVolumes } = definition;
  return [
    ...[...own, ...readOnlyVolumes].flatMap((volume) => missingOrInactive(nodes, vm, volume)),
    ...own.flatMap((volume) => activeElsewhere(nodes, vm, volume)),
  ];
}

function missingOrInactive(nodes: readonly CheckedNode[], vm: string, volume: VolumeName): Finding[] {
  const name = formatVolumeName(volume);
  if (nodes.every(({ sight }) => volumeIn(sight, volume) === undefined)) {
    return [finding('missing-volume', 'error', [], `${name}, a disk of ${vm}, does not exist`, vm)];
  }
  return nodes.flatMap(({ sight }) => {
    if (volumeIn(sight, volume)?.active !== false || !rowsOf(sight.rows, vm).some(runsHere)) return [];
    const text = `${name} is not active on ${sight.node}, where ${vm} runs`;
    return [finding('inactive-where-running', 'warning', [sight.node], text, vm)];
  });
}

/** A volume that is only read may be active for another VM, and harms nobody. */
function activeElsewhere(nodes: readonly CheckedNode[], vm: string, volume: VolumeName): Finding[] {
  return nodes.flatMap(({ sight }) => {
    if (volumeIn(sight, volume)?.active !== true || rowsOf(sight.rows, vm).length > 0) return [];
    const text = `${formatVolumeName(volume)} is active on ${sight.node}, where ${vm} does not run`;
    return [finding('active-elsewhere', 'warning', [sight.node], text, vm)];
  });
}

function links(nodes: readonly CheckedNode[]): Finding[] {
  const findings: Finding[] = [];
  const all = [...new Set(nodes.flatMap(({ sight }) => [...sight.links.keys()]))].sort();
  for (const vm of all) {
    const linked = nodes.filter(({ sight }) => sight.links.has(vm)).map(({ sight }) => sight.node);
    if (linked.length > 1) {
      findings.push(
        finding('several-links', 'error', linked, `${vm} has autostart links on ${linked.join(' and ')}`, vm),
      );
    }
    for (const { sight } of nodes) {
      if (!sight.links.has(vm) || rowsOf(sight.rows, vm).length > 0) continue;
      const text = `${vm} has an autostart link on ${sight.node}, but does not run there`;
      findings.push(finding('link-without-vm', 'warning', [sight.node], text, vm));
    }
  }
  for (const { sight, configs: own } of nodes) {
    for (const row of sight.rows.filter(runsHere)) {
      const vm = row.name ?? '';
      if (sight.links.has(vm) || !own.some((config) => config.vm === vm)) continue;
      const text = `${vm} runs on ${sight.node}, but has no autostart link there`;
      findings.push(finding('vm-without-link', 'warning', [sight.node], text, vm));
    }
  }
  return findings;
}

function leftovers(nodes: readonly CheckedNode[]): Finding[] {
  const known = new Set(nodes.flatMap(({ configs: own }) => own.map(({ vm }) => vm)));
  return nodes.flatMap(({ sight }) =>
    sight.rows
      .filter(({ id }) => id !== 0)
      .flatMap((row) => {
        const vm = virtualMachineName(row);
        const where = `domain ${row.id} of ${vm ?? 'no name'} on ${sight.node}`;
        if (needsMonitor(row)) {
          return [finding('lost-monitor', 'warning', [sight.node], `${where} has ended and is not removed`, vm)];
        }
        if (meaningOf(row) === 'leaving') {
          return [
            finding('left-by-migration', 'warning', [sight.node], `${where} was left by a migration or save`, vm),
          ];
        }
        if (vm !== undefined && meaningOf(row) === 'incoming' && isNowhereElse(nodes, vm, row)) {
          const text = `${where} is half of a migration, and no node that answers has the other half`;
          return [finding('left-by-migration', 'warning', [sight.node], text, vm)];
        }
        if (vm === undefined || known.has(vm) || !runsHere(row)) return [];
        return [finding('no-config', 'warning', [sight.node], `${where} has no configuration on any node`, vm)];
      }),
  );
}

/** Where a migration is under way, its source has a row of the VM, too. */
function isNowhereElse(nodes: readonly CheckedNode[], vm: string, row: DomainRow): boolean {
  return nodes.every(({ sight }) => rowsOf(sight.rows, vm).every((other) => other === row));
}

function finding(
  kind: FindingKind,
  severity: Finding['severity'],
  nodes: readonly string[],
  text: string,
  vm?: string,
): Finding {
  return { kind, severity, nodes, text, ...(vm === undefined ? {} : { vm }) };
}

export interface CpuDifference {
  readonly node: string;
  /** Flags that the reference has and the node lacks. */
  readonly missing: readonly string[];
  /** Flags that the node has beyond the reference. */
  readonly additional: readonly string[];
}

/** Nodes whose CPU flags differ from those of the reference. @throws CxmError NOT_FOUND */
export function compareCpus(sights: readonly NodeSight[], reference: string): readonly CpuDifference[] {
  const own = sights.find(({ node }) => node === reference);
  if (own === undefined) throw new CxmError('NOT_FOUND', `${reference} is no node of the cluster`);
  return sights
    .filter(({ node }) => node !== reference)
    .map(({ node, cpuFlags }) => ({
      node,
      missing: own.cpuFlags.filter((flag) => !cpuFlags.includes(flag)),
      additional: cpuFlags.filter((flag) => !own.cpuFlags.includes(flag)),
    }))
    .filter(({ missing, additional }) => missing.length + additional.length > 0);
}
