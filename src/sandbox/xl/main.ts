/**
 * A stand-in for `xl` and `xentop` on machines without Xen: the sandbox's nodes and the tests run it under these names. It
 * keeps its domains in a state directory and answers as Xen 4.17 does, exit codes and messages included; `xl info` calls it
 * simulated. See knobs.ts for what it can be made to do wrong.
 */
import { release } from 'node:os';
import { basename } from 'node:path';
import { console } from './console.ts';
import { findDomain, XlFailure } from './context.ts';
import type { Command, Context } from './context.ts';
import { create } from './create.ts';
import * as devices from './devices.ts';
import * as guest from './guest.ts';
import * as lists from './lists.ts';
import { migrate, migrateReceive } from './migrate.ts';
import { restore, save } from './save.ts';
import { Store } from './store.ts';

const info: Command = (context) => {
  const { host } = context.store;
  const lines: readonly (readonly [string, string | number])[] = [
    ['host', host.name],
    ['release', release()],
    ['version', 'simulated by cxm'],
    ['machine', 'x86_64'],
    ['nr_cpus', host.cpus],
    ['max_cpu_id', host.cpus - 1],
    ['nr_nodes', 1],
    ['cores_per_socket', host.cpus],
    ['threads_per_core', 1],
    ['cpu_mhz', host.cpuMhz.toFixed(3)],
    ['hw_caps', '078bf3fd:80002001:20100800:00000005:00000000:00000000:00000000:00000000'],
    ['virt_caps', 'pv hvm shadow gnttab-v1 gnttab-v2'],
    ['total_memory', host.memoryMib],
    ['free_memory', Math.floor(context.store.freeMemoryKib() / 1024)],
    ['sharing_freed_memory', 0],
    ['sharing_used_memory', 0],
    ['outstanding_claims', 0],
    ['free_cpus', 0],
    ['xen_major', 4],
    ['xen_minor', 17],
    ['xen_extra', '.5-simulated'],
    ['xen_version', '4.17.5-simulated'],
    ['xen_caps', 'xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 '],
    ['xen_scheduler', 'credit2'],
    ['xen_pagesize', 4096],
    ['platform_params', 'virt_start=0xffff800000000000'],
    ['xen_changeset', ''],
    ['xen_commandline', 'simulated'],
    ['xend_config_format', 4],
  ];
  for (const [name, value] of lines) context.out(`${name.padEnd(23)}: ${value}\n`);
  return 0;
};

const domid: Command = (context, [name = '']) => {
  const found = name === 'Domain-0' ? { id: 0 } : context.store.domains().find((domain) => domain.name === name);
  const complaint = `Can't get domid of domain name '${name}', maybe this domain does not exist.`;
  if (found === undefined) throw new XlFailure(1, complaint);
  context.out(`${found.id}\n`);
  return 0;
};

const domname: Command = (context, [id = '']) => {
  const found = id === '0' ? { name: 'Domain-0' } : context.store.get(Number(id));
  const complaint = `Can't get domain name of domain id '${id}', maybe this domain does not exist.`;
  if (found === undefined) throw new XlFailure(1, complaint);
  context.out(`${found.name}\n`);
  return 0;
};

/** Real xl has no such command: what a look into the guest's memory would show. */
const simulatedGuest: Command = (context, [reference]) => {
  context.out(`${JSON.stringify(findDomain(context, reference).guest)}\n`);
  return 0;
};

const commands: Readonly<Record<string, Command>> = {
  create,
  list: lists.list,
  destroy: guest.destroy,
  shutdown: guest.shutdown,
  reboot: guest.reboot,
  pause: guest.pause,
  unpause: guest.unpause,
  save,
  migrate,
  restore,
  'migrate-receive': migrateReceive,
  'mem-max': devices.setMaximumMemory,
  'mem-set': devices.setMemory,
  'vcpu-list': lists.vcpuList,
  'vcpu-set': devices.setVcpus,
  info,
  domid,
  domname,
  rename: guest.rename,
  'network-attach': devices.networkAttach,
  'network-list': lists.networkList,
  'network-detach': devices.networkDetach,
  'block-attach': devices.blockAttach,
  'block-list': lists.blockList,
  'block-detach': devices.blockDetach,
  uptime: lists.uptime,
  console,
  'simulated-guest': simulatedGuest,
  [guest.endCommand]: guest.guestEnds,
};

function usage(context: Context): number {
  context.out('Usage xl [-vfNtT] <subcommand> [args]\n\nxl full list of subcommands:\n\n');
  for (const name of Object.keys(commands)) context.out(` ${name}\n`);
  return 1;
}

async function run(program: string, args: readonly string[]): Promise<number> {
  const context: Context = {
    store: new Store(process.env['XL_SIMULATED_STATE'] ?? '/var/lib/xl-simulated'),
    out: (text) => process.stdout.write(text),
    say: (line) => process.stderr.write(`${line}\n`),
  };
  try {
    if (program === 'xentop') return await lists.xentop(context, args);
    const words = [...args];
    while (/^-[vfNtT]+$/.test(words[0] ?? '')) words.shift();
    const [name, ...rest] = words;
    if (name === undefined) return usage(context);
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) throw new XlFailure(1, 'command not implemented');
    return await command(context, rest);
  } catch (error) {
    if (!(error instanceof XlFailure)) throw error;
    for (const line of error.lines) context.say(line);
    return error.exitCode;
  }
}

// Whoever reads may go away first: an ssh that was killed, a pager that was left.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

run(basename(process.argv[1] ?? 'xl'), process.argv.slice(2)).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    process.stderr.write(`xl (simulated): ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
