/**
 * The judgement of `cxm doctor`: what was found, whether that is right, and how to mend it. Every check gives at least one
 * line, so that nothing that was not looked at seems well. `fail` is what endangers data, lets a VM run twice or keeps cxm
 * from working; `warn` is what will hurt one day. Pure.
 */
import { CxmError } from '../errors.ts';
import { definitionOf, type VmDefinition } from './definition.ts';
import type { ClusterFacts, NodeFacts } from './doctor-facts.ts';
import { configurationChecks } from './doctor-configuration.ts';
import { lvmChecks } from './doctor-lvm.ts';
import { same, perNode, type Verdict, type CheckResult } from './doctor-verdicts.ts';

export interface DoctorContext {
  readonly localName: string;
  readonly allowedNodes: readonly string[];
  readonly configurationPath: string;
  /** What is wrong with cxm.conf on this machine; undefined if nothing is. */
  readonly configurationError: CxmError | undefined;
  readonly fencing: { readonly programs: readonly string[]; readonly disabled: boolean };
}

/** In the order in which one would mend things. */
export function judge(facts: ClusterFacts, context: DoctorContext): readonly CheckResult[] {
  const { nodes } = facts;
  return [
    ...configurationChecks(nodes, context),
    ...accessChecks(facts),
    ...toolChecks(nodes),
    ...toolstackChecks(nodes),
    ...lvmChecks(nodes, definitionsOf(nodes)),
    ...bridgeChecks(nodes),
    ...versionChecks(nodes),
    ...clockChecks(nodes),
    ...fencingChecks(nodes, context),
  ];
}

/** 'fail' if anything has failed. */
export function worstOf(results: readonly CheckResult[]): Verdict {
  const verdicts = new Set(results.map(({ verdict }) => verdict));
  return verdicts.has('fail') ? 'fail' : verdicts.has('warn') ? 'warn' : 'ok';
}

/** One a VM, of the first node that has a readable one; `cxm check` tells of the others. */
function definitionsOf(nodes: readonly NodeFacts[]): readonly VmDefinition[] {
  const definitions = new Map<string, VmDefinition>();
  for (const { configs } of nodes) {
    for (const config of configs instanceof CxmError ? [] : configs) {
      try {
        if (!definitions.has(config.vm)) definitions.set(config.vm, definitionOf(config));
      } catch {
        continue;
      }
    }
  }
  return [...definitions.values()];
}

function accessChecks({ nodes, silent }: ClusterFacts): CheckResult[] {
  const unreachable = silent.map(({ node, error }): CheckResult => ({
    check: 'access',
    where: node,
    verdict: 'fail',
    found: `does not answer: ${error.message}`,
    mend: error.hint,
  }));
  const answering: CheckResult = {
    check: 'access',
    where: '',
    verdict: 'ok',
    found: `${nodes.map(({ node }) => node).join(', ')} can be asked`,
    mend: '',
  };
  return [
    ...(nodes.length === 0 ? [] : [answering]),
    ...unreachable,
    ...perNode('root', nodes, 'cxm is root everywhere', ({ userId }) =>
      userId === 0
        ? undefined
        : {
            verdict: 'fail',
            found: `programs run as user ${userId ?? 'unknown'}, not as root`,
            mend: 'call cxm as root or with sudo; on other nodes let SSH_USER of cxm.conf be root, or use sudo without a password',
          },
    ),
    ...sshChecks(nodes, new Set(silent.map(({ node }) => node))),
    ...sshdChecks(nodes),
  ];
}

/** @param silent what does not answer us is said already */
function sshChecks(nodes: readonly NodeFacts[], silent: ReadonlySet<string>): CheckResult[] {
  if (nodes.every(({ reach }) => reach.length === 0)) {
    return [{ check: 'ssh', where: '', verdict: 'ok', found: 'there is no other node to reach', mend: '' }];
  }
  const bad = nodes.flatMap(({ node, reach }) =>
    reach.flatMap(({ to, error }): CheckResult[] =>
      error === undefined || silent.has(to)
        ? []
        : [
            {
              check: 'ssh',
              where: `${node} to ${to}`,
              verdict: 'fail',
              found: error.message,
              mend: sshMending(node, to, error),
            },
          ],
    ),
  );
  const pairs = nodes.reduce((sum, { reach }) => sum + reach.filter(({ to }) => !silent.has(to)).length, 0);
  if (bad.length > 0) return bad;
  return [
    {
      check: 'ssh',
      where: '',
      verdict: 'ok',
      found: `each node that answers reaches each other (${pairs} ways)`,
      mend: '',
    },
  ];
}

/** A live migration goes over this way; nothing can be asked of a person there. */
function sshMending(node: string, to: string, { message }: CxmError): string {
  if (/REMOTE HOST IDENTIFICATION|host key .*changed/i.test(message)) {
    return `find out why the host key of ${to} has changed before anything else; then mend known_hosts of root on ${node}`;
  }
  if (/host key verification failed|no .*host key is known/i.test(message)) {
    return `put the host key of ${to} into /etc/ssh/ssh_known_hosts on ${node}; compare it with the one on ${to} itself`;
  }
  if (/permission denied/i.test(message)) {
    return `put root's public key of ${node} into authorized_keys of root on ${to}`;
  }
  return `as root on ${node}, mend what \`ssh -o BatchMode=yes ${to} true\` says`;
}

/** As long as a command waits for the lock of a VM. */
const deadClientSeconds = 60;

/**
 * A node that loses its power closes no connection. What it held elsewhere, above all the lock of a VM, lives until sshd
 * there has given its client up; until then nobody can start the VM anew.
 */
function sshdChecks(nodes: readonly NodeFacts[]): CheckResult[] {
  const mend =
    'write `ClientAliveInterval 5` and `ClientAliveCountMax 3` into sshd_config there and reload sshd: until then the VMs that a powerless node worked on stay locked, and can not be started elsewhere';
  const well = `sshd gives up a dead client within ${deadClientSeconds} s everywhere`;
  return perNode('sshd', nodes, well, ({ sshd }) => {
    if (sshd === undefined) {
      return { verdict: 'warn', found: '`sshd -T` does not say when it gives up a dead client', mend };
    }
    const { intervalSeconds, count } = sshd;
    const settings = `ClientAliveInterval ${intervalSeconds}, ClientAliveCountMax ${count}`;
    if (intervalSeconds === 0 || count === 0) {
      return { verdict: 'fail', found: `sshd never gives up a dead client (${settings})`, mend };
    }
    // One question an interval; the one after the last that may stay without an answer ends it.
    const seconds = intervalSeconds * (count + 1);
    if (seconds <= deadClientSeconds) return undefined;
    return { verdict: 'warn', found: `sshd gives up a dead client only after ${seconds} s (${settings})`, mend };
  });
}

function toolChecks(nodes: readonly NodeFacts[]): CheckResult[] {
  return perNode('tools', nodes, 'all programs that cxm needs are there', ({ missingTools }) =>
    missingTools.length === 0
      ? undefined
      : {
          verdict: 'fail',
          found: `missing: ${missingTools.join(', ')}`,
          mend: `install what provides them: ${packagesOf(missingTools)}`,
        },
  );
}

const packages: Readonly<Record<string, string>> = {
  flock: 'util-linux',
  setsid: 'util-linux',
  find: 'findutils',
  ping: 'iputils-ping',
  logger: 'bsdutils',
  ssh: 'openssh-client',
  timeout: 'coreutils',
  xl: 'xen-utils-common',
  xentop: 'xen-utils-common',
  vgs: 'lvm2',
  lvs: 'lvm2',
  lvchange: 'lvm2',
  dmsetup: 'dmsetup',
};

/** As Debian calls them. */
function packagesOf(tools: readonly string[]): string {
  return [...new Set(tools.map((tool) => packages[tool] ?? tool))].join(', ');
}

function toolstackChecks(nodes: readonly NodeFacts[]): CheckResult[] {
  const answers = perNode('toolstack', nodes, 'xl answers', ({ toolstack, bootedWithXen, userId }) => {
    if (!(toolstack instanceof CxmError)) return undefined;
    const mend = !bootedWithXen
      ? 'the machine was not booted with Xen: install xen-system-amd64 and choose Xen in the boot menu'
      : userId === 0
        ? 'start xencommons (xenstored), then look at `xl info`'
        : 'call cxm as root or with sudo';
    return { verdict: 'fail', found: `xl info does not answer: ${toolstack.message}`, mend };
  });
  const versions = same('xen-version', nodes, (node) =>
    node.toolstack instanceof CxmError ? undefined : node.toolstack.xenVersion,
  );
  const xendomains = perNode('xendomains', nodes, 'nothing but cxm starts guests at boot', ({ xendomains: enabled }) =>
    enabled.length === 0
      ? undefined
      : {
          verdict: 'fail',
          found: `starts or migrates guests by itself: ${enabled.join(', ')}`,
          mend: 'a VM that runs elsewhere by then would run twice: `systemctl disable xendomains`, or `update-rc.d xendomains disable`',
        },
  );
  return [
    ...answers,
    ...versions('Xen {}', 'update Xen to one version; guests can only be migrated to the same or a newer one'),
    ...xendomains,
  ];
}

function bridgeChecks(nodes: readonly NodeFacts[]): CheckResult[] {
  const all = [...new Set(nodes.flatMap(({ bridges }) => bridges))].sort();
  const summary = all.length === 0 ? 'no node has a bridge' : `everywhere: ${all.join(', ')}`;
  return perNode('bridges', nodes, summary, ({ bridges }) => {
    const missing = all.filter((bridge) => !bridges.includes(bridge));
    if (missing.length === 0) return undefined;
    const mend = 'make it as on the other nodes: a VM on it can neither start nor be migrated here';
    return { verdict: 'warn', found: `missing: ${missing.join(', ')}`, mend };
  });
}

function versionChecks(nodes: readonly NodeFacts[]): CheckResult[] {
  const missing = perNode('cxm-version', nodes, 'cxm is installed everywhere', ({ cxmVersion }) =>
    cxmVersion === undefined
      ? {
          verdict: 'warn',
          found: 'there is no cxm',
          mend: 'install cxm there, too: any node may have to do the work of all',
        }
      : undefined,
  );
  const cxm = same('cxm-version', nodes, ({ cxmVersion }) => cxmVersion);
  const node = same('node-version', nodes, ({ nodeVersion }) => nodeVersion);
  return [
    ...missing.filter(({ verdict }) => verdict !== 'ok'),
    ...cxm('cxm {}', 'install one version of cxm on all nodes'),
    ...node('Node.js {}', 'one version everywhere means one behaviour everywhere; Node.js 20 or later'),
  ];
}

const clockToleranceMs = 1000;

function clockChecks(nodes: readonly NodeFacts[]): CheckResult[] {
  return perNode('clock', nodes, 'all clocks agree within a second', ({ clockOffsetMs }) => {
    if (clockOffsetMs === undefined)
      return { verdict: 'warn', found: 'the time could not be asked', mend: 'look at `date` there' };
    if (Math.abs(clockOffsetMs) <= clockToleranceMs) return undefined;
    const seconds = Math.abs(clockOffsetMs / 1000).toFixed(1);
    const found = `${seconds} s ${clockOffsetMs < 0 ? 'behind' : 'ahead of'} this machine`;
    return {
      verdict: 'warn',
      found,
      mend: 'let chrony or systemd-timesyncd set it: logs of nodes can not be compared',
    };
  });
}

function fencingChecks(nodes: readonly NodeFacts[], { fencing }: DoctorContext): CheckResult[] {
  if (fencing.disabled) {
    const found = 'DISABLE_FENCING is True: no node is ever powered off, and a failover ends in panic';
    return [{ check: 'fencing', where: '', verdict: 'warn', found, mend: 'set FENCE_CMD and remove DISABLE_FENCING' }];
  }
  const there = fencing.programs.length === 1 ? 'is there' : 'are there';
  const found = `${fencing.programs.join(' and ')} ${there}`;
  const programs = perNode('fencing', nodes, found, ({ missingFencePrograms: missing }) =>
    missing.length === 0
      ? undefined
      : {
          verdict: 'warn',
          found: `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing`,
          mend: 'install what FENCE_CMD and FENCE_STATUS_CMD name: without it a dead node is a panic, and its VMs stay down',
        },
  );
  const without = nodes.filter(({ hasWatchdog }) => !hasWatchdog).map(({ node }) => node);
  const watchdog =
    without.length === 0 ? 'every node has one' : `none on ${without.join(', ')}; only WATCHDOG of cxm.conf needs one`;
  return [...programs, { check: 'watchdog', where: '', verdict: 'ok', found: watchdog, mend: '' }];
}
