/** `cxm list`: the VMs that run, by node; those that are coming or going are told below. */
import { wordsOf } from '../../cluster/locate.ts';
import { runsHere, virtualMachineName, type DomainRow } from '../../xen/domain-list.ts';
import type { CommandBody } from '../context.ts';
import { look, silentJson, tellSilent } from '../look.ts';

const columns = [
  { title: 'NODE' },
  { title: 'VM' },
  { title: 'ID', align: 'right' },
  { title: 'MEMORY MIB', align: 'right' },
  { title: 'VCPUS', align: 'right' },
  { title: 'STATE' },
  { title: 'CPU TIME', align: 'right' },
] as const;

export const list: CommandBody = async (context) => {
  const cluster = await context.open();
  const { answers, silent } = await look(context, cluster, ({ toolstack }) => toolstack.list());
  const nodes = answers.map(({ node, value }) => {
    const guests = value.filter(({ id }) => id !== 0);
    return { name: node, vms: guests.filter(runsHere), traces: guests.filter((row) => !runsHere(row)) };
  });
  if (context.options.json) {
    const plain = nodes.map(({ name, vms, traces }) => ({
      name,
      vms: vms.map(plainRow),
      traces: traces.map((row) => ({ ...plainRow(row), what: wordsOf(row) })),
    }));
    context.json({ nodes: plain, silent: silentJson(silent) });
    return tellSilent(context, silent);
  }
  if (context.options.quiet) {
    for (const { vms } of nodes) for (const { name } of vms) context.print(name ?? '');
    return tellSilent(context, silent);
  }
  const rows = nodes.flatMap(({ name, vms }) =>
    vms.map((row) => [
      name,
      row.name ?? '',
      row.id,
      row.memoryMib,
      row.vcpus,
      lettersOf(row),
      `${row.cpuSeconds.toFixed(1)} s`,
    ]),
  );
  context.table(columns, rows);
  if (rows.length === 0) context.progress.note('INFO', `no VM runs on ${nodes.map(({ name }) => name).join(', ')}`);
  for (const { name, traces } of nodes) {
    for (const row of traces) {
      const vm = virtualMachineName(row) ?? 'a domain without a name';
      context.progress.note('INFO', `${vm} is ${wordsOf(row)} on ${name}`);
    }
  }
  return tellSilent(context, silent);
};

function plainRow(row: DomainRow): object {
  const { id, memoryMib, vcpus, cpuSeconds } = row;
  return { vm: virtualMachineName(row) ?? null, id, memoryMib, vcpus, state: lettersOf(row), cpuSeconds };
}

/** As xl's column of the state. */
function lettersOf({ state }: DomainRow): string {
  const letter = (held: boolean, sign: string): string => (held ? sign : '-');
  return [
    letter(state.running, 'r'),
    letter(state.blocked, 'b'),
    letter(state.paused, 'p'),
    letter(state.shutdown !== undefined, 's'),
    letter(state.shutdown === 'crash', 'c'),
    letter(state.dying, 'd'),
  ].join('');
}
