/**
 * The probes: one program, `im/cxm/probe WHAT ARGUMENTS...`, that the scripts in im/cxm.d and im/cxm-probes.d call with
 * what they stand for and the arguments they got. A probe is one call of the helper, one look at the host; if that fails
 * the probe fails and prints nothing, so that no VM is ever taken for gone because xl did not answer.
 */
import { readFileSync } from 'node:fs';
import type { MonitorParameters, MonitoredHost, MonitorResult } from '../../agent/operations/monitor.ts';
import { CxmError } from '../../errors.ts';
import type { Action, ActionContext } from '../action.ts';
import { parseMonitorConfiguration } from './configuration.ts';
import { defaultDatastores, readHostFacts } from './host-facts.ts';
import { collectdLines, hostSystemLines, hostUsageLines, machineUsageLines, wildLines } from './output.ts';
import { statusReport } from './status.ts';
import { StatusStore } from './status-store.ts';

type Probe = (context: ActionContext, argv: readonly string[]) => Promise<readonly string[]>;

const probes: Readonly<Record<string, Probe>> = {
  'host-system': hostSystem,
  'host-monitor': hostMonitor,
  'vm-status': machineStatus,
  'vm-monitor': machineMonitor,
  'host-3.x': hostForOldVersions,
  'collectd-4.x': collectd,
};

export const probe: Action = {
  name: 'probe',
  run: async (context) => {
    const [what = '', ...argv] = context.argv;
    const chosen = Object.hasOwn(probes, what) ? probes[what] : undefined;
    if (chosen === undefined) {
      throw new CxmError('USAGE', `usage: probe ${Object.keys(probes).join('|')} ARGUMENTS...`);
    }
    const lines = await chosen(context, argv);
    return lines.length === 0 ? undefined : lines.join('\n');
  },
};

async function hostSystem(context: ActionContext): Promise<readonly string[]> {
  const { datastoreLocation } = parseMonitorConfiguration(await context.standardInput());
  const { host, domains } = await lookWithHost(context, false);
  return [...hostSystemLines(host, readHostFacts(context.hostName, datastoreLocation)), ...wildLines(domains)];
}

async function hostMonitor(context: ActionContext): Promise<readonly string[]> {
  const { host } = await lookWithHost(context, false);
  return hostUsageLines(host, readHostFacts(context.hostName, defaultDatastores));
}

/** Arguments: hypervisor, id of the host, its name. */
async function machineStatus(context: ActionContext, argv: readonly string[]): Promise<readonly string[]> {
  const hostId = /^\d{1,9}$/.test(argv[1] ?? '') ? Number(argv[1]) : undefined;
  if (hostId === undefined) throw new CxmError('USAGE', 'vm/status is called with HYPERVISOR HOST_ID HOST_NAME');
  const { syncSeconds } = parseMonitorConfiguration(await context.standardInput());
  const store = new StatusStore(hostId);
  const memory = store.load();
  const { domains } = await look(context, { host: false, usage: false });
  const report = statusReport({ memory, domains, uptimeSeconds: uptimeSeconds(), syncSeconds });
  store.save(report.memory);
  return report.lines;
}

async function machineMonitor(context: ActionContext): Promise<readonly string[]> {
  return machineUsageLines((await look(context, { host: false, usage: true })).domains);
}

/** 3.x: everything about the host. Its standard input may stay open for ever and is not read. */
async function hostForOldVersions(context: ActionContext): Promise<readonly string[]> {
  const { host } = await lookWithHost(context, false);
  const facts = readHostFacts(context.hostName, defaultDatastores);
  return [...hostSystemLines(host, facts), ...hostUsageLines(host, facts)];
}

/** 4.x to 5.10: the host and its VMs. Arguments: hypervisor, directory of the datastores, and more. */
async function collectd(context: ActionContext, argv: readonly string[]): Promise<readonly string[]> {
  const location = argv[1]?.startsWith('/') === true ? argv[1] : defaultDatastores;
  const { host, domains } = await lookWithHost(context, true);
  const facts = readHostFacts(context.hostName, location);
  return [...hostSystemLines(host, facts), ...hostUsageLines(host, facts), ...collectdLines(domains)];
}

async function lookWithHost(
  context: ActionContext,
  usage: boolean,
): Promise<MonitorResult & { readonly host: MonitoredHost }> {
  const { host, domains } = await look(context, { host: true, usage });
  if (host === undefined) throw new CxmError('PROTOCOL', 'the helper did not say anything about the host');
  return { host, domains };
}

async function look(context: ActionContext, { host, usage }: MonitorParameters): Promise<MonitorResult> {
  const parameters = { host, usage };
  return (await context.helper('here', { operation: 'monitor', parameters })) as MonitorResult;
}

/** Survives what a clock does not: being set. */
function uptimeSeconds(): number {
  return Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
}
