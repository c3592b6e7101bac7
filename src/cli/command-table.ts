/**
 * The subcommands of cxm: one table from which parsing, help, manual, completion and the guide's reference come. What a
 * subcommand does is in commands/; what it is called and takes is here. Pure.
 */
import type { OptionName } from './option-table.ts';

export type OperandKind = 'vm' | 'node' | 'pattern' | 'choice';

export interface OperandSpec {
  readonly name: string;
  readonly kind: OperandKind;
  readonly optional?: true;
  /** One or more. */
  readonly many?: true;
  /** Of the kind `choice`. */
  readonly choices?: readonly string[];
}

export interface CommandSpec {
  readonly group: 'Look' | 'Virtual machines' | 'Volumes' | 'Nodes' | 'cxm itself';
  /** One line, without a full stop. */
  readonly summary: string;
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly operands?: readonly OperandSpec[];
  /** Beside the general ones. */
  readonly options?: readonly OptionName[];
  readonly examples: readonly { readonly line: string; readonly meaning: string }[];
}

const vm: OperandSpec = { name: 'FQDN', kind: 'vm' };

export const commandTable = {
  infos: {
    group: 'Look',
    summary: 'nodes with their VMs, memory and load',
    description: [
      'One line a node: VMs that run there, dynamic interrupts in use (Xen has 1024 of them in an old dom0), memory and load. The load of a node is the share of its memory or of its interrupts that is used, whichever is greater.',
      'The load of the cluster is the used memory as a share of all memory but that of the largest node: over 100 % the cluster can not take over the VMs of that node when it fails.',
    ],
    options: ['json'],
    examples: [{ line: 'cxm infos', meaning: 'all nodes, with totals' }],
  },
  top: {
    group: 'Look',
    summary: 'CPU, memory, network and disks of nodes and VMs, as they change',
    description: [
      'On a terminal a screen that answers to keys: q leaves, h shows the others. Without a terminal, and with --batch, --iterations or --json, tables or lines of JSON one after the other, until Ctrl-C or the number of --iterations.',
      'CPU% is 100 for one full CPU, the mean of the last ten seconds; network and disks are in bytes a second since the look before (K, M, G are powers of 1024). A node that does not answer is shown as silent, and the others go on; with tables the exit code is 1 if one was silent in the last of them.',
    ],
    options: ['forceNode', 'batch', 'iterations', 'interval', 'sort', 'json'],
    examples: [
      { line: 'cxm top', meaning: 'all nodes' },
      { line: 'cxm top -f node1 --sort disk', meaning: 'the VMs of node1, the busiest disks first' },
      { line: 'cxm top --batch --iterations 1', meaning: 'one table' },
      { line: 'cxm top --json --interval 60 >>top.log', meaning: 'a line a minute' },
    ],
  },
  list: {
    group: 'Look',
    summary: 'the VMs that run, by node',
    description: [
      'One line a VM: node, name, memory, VCPUs, state and CPU time. The letters of the state are those of xl: r running, b blocked (idle), p paused, s shut down, c crashed, d dying.',
      'VMs that are just being started, moved or ended are not in the table, but named below it. With --quiet only names are printed.',
    ],
    options: ['json'],
    examples: [
      { line: 'cxm list', meaning: 'all nodes' },
      { line: 'cxm list --nodes node1', meaning: 'one node' },
      { line: 'cxm list --quiet', meaning: 'names only, for scripts' },
    ],
  },
  search: {
    group: 'Look',
    summary: 'where a VM is configured, runs and starts',
    description: [
      'Finds VMs by the names of their configurations; *, ? and [abc] are wildcards, so put the pattern in quotes. Of each it tells where it runs and on which node its autostart link is. A VM that runs on several nodes is reported as an error, and the exit code is 2.',
    ],
    operands: [{ name: 'PATTERN', kind: 'pattern' }],
    options: ['json'],
    examples: [
      { line: 'cxm search shop.example.org', meaning: 'one VM' },
      { line: "cxm search 'web*'", meaning: 'all whose names begin with web' },
    ],
  },
  check: {
    group: 'Look',
    summary: 'what is wrong in the cluster',
    description: [
      'Looks, and changes nothing: VMs that run twice, bridges, configurations and volumes that are missing on some nodes or differ, volumes active where they should not be, autostart links without a VM and the reverse, domains left behind. Each finding is a line; the exit code is 2 if there is one.',
    ],
    options: ['json'],
    examples: [{ line: 'cxm check', meaning: 'after each change of the cluster, and from cron' }],
  },
  'check-cpu': {
    group: 'Look',
    summary: 'nodes whose CPUs have other features',
    description: [
      'Compares the CPU feature flags of all nodes with those of the local one, or of --force-node. A guest can be migrated live only to a node that has all flags that it uses. The exit code is 2 if there is a difference.',
    ],
    options: ['json', 'forceNode'],
    examples: [{ line: 'cxm check-cpu', meaning: 'before a node joins' }],
  },
  create: {
    group: 'Virtual machines',
    summary: 'start a VM',
    description: [
      'Starts the VM on the node of --force-node, else on the one with its autostart link, else here with a warning. A node without enough memory is replaced by the one with most, unless it was forced. First its volumes are made inactive on every other node. If the VM is on any node in any state, or its name answers a ping, nothing is done.',
      'A start that fails leaves its volumes inactive again.',
    ],
    operands: [vm],
    options: ['forceNode', 'console', 'dryRun', 'json'],
    examples: [
      { line: 'cxm create shop.example.org', meaning: 'where its autostart link is' },
      { line: 'cxm create shop.example.org -f node2 -c', meaning: 'on node2, with its console if that is here' },
      { line: 'cxm create shop.example.org --dry-run', meaning: 'the steps only' },
    ],
  },
  start: {
    group: 'Virtual machines',
    summary: 'start several VMs, spread over the nodes',
    description: [
      'Each VM is started where it fits best: the largest first, each on the node with the least free memory that is enough, among those that the rules of cxm.conf (LB_PIN and others) allow. Those that run already are left alone, and what fails does not keep the others from being started. Each gets its autostart link where it starts.',
    ],
    operands: [{ ...vm, many: true }],
    options: ['dryRun', 'json'],
    examples: [
      { line: 'cxm start shop.example.org mail.example.org', meaning: 'wherever there is room' },
      { line: 'cxm start a.example.org b.example.org --dry-run', meaning: 'where they would start' },
    ],
  },
  shutdown: {
    group: 'Virtual machines',
    summary: 'shut a VM down',
    description: [
      'Asks the guest to shut down on whichever node it runs. After SHUTDOWN_TIMEOUT seconds it is destroyed. Afterwards its volumes are inactive everywhere.',
    ],
    operands: [vm],
    options: ['json'],
    examples: [{ line: 'cxm shutdown shop.example.org', meaning: 'wherever it runs' }],
  },
  reboot: {
    group: 'Virtual machines',
    summary: 'reboot a VM',
    description: [
      'Asks the guest to reboot and waits until it has. A guest whose monitor was lost, which nobody would restart, is started anew.',
    ],
    operands: [vm],
    options: ['json'],
    examples: [{ line: 'cxm reboot shop.example.org', meaning: 'wherever it runs' }],
  },
  destroy: {
    group: 'Virtual machines',
    summary: 'end a VM at once, as by pulling its plug',
    description: [
      'Asks first: the guest is not told, so what it has not written to its disks is lost. Also removes what a migration or a lost monitor has left of a VM that runs nowhere.',
    ],
    operands: [vm],
    options: ['yes', 'json'],
    examples: [{ line: 'cxm destroy shop.example.org --yes', meaning: 'without a question' }],
  },
  'shutdown-all': {
    group: 'Virtual machines',
    summary: 'shut down all VMs of the cluster, or of one node',
    description: [
      'Shuts down every VM that runs, several at a time; asks first and tells which. With --force-node only those of that node. What fails does not keep the others from being shut down, and is told at the end.',
    ],
    options: ['forceNode', 'yes', 'json'],
    examples: [
      { line: 'cxm shutdown-all -f node2', meaning: 'the VMs of node2; asks first' },
      { line: 'cxm shutdown-all --yes', meaning: 'all VMs, without a question' },
    ],
  },
  migrate: {
    group: 'Virtual machines',
    summary: 'move a running VM to another node',
    description: [
      'Live: the guest goes on. What would make it fail is looked for beforehand (memory, volumes, bridges, CPU features, configuration, ssh between both nodes); if something is found, it is refused with all reasons. Nothing is switched off before both nodes have been seen to agree that the VM runs there and not here; when it fails, the VM runs on where it was.',
    ],
    operands: [vm, { name: 'DEST', kind: 'node' }],
    options: ['dryRun', 'json'],
    examples: [
      { line: 'cxm migrate shop.example.org node2', meaning: 'from wherever it runs' },
      { line: 'cxm migrate shop.example.org node2 --dry-run', meaning: 'the steps only, or why it would be refused' },
    ],
  },
  console: {
    group: 'Virtual machines',
    summary: 'the console of a VM that runs here',
    description: [
      'Connects this terminal with the console of the guest; Ctrl-] leaves it. Only on the node where it runs.',
    ],
    operands: [vm],
    examples: [{ line: 'cxm console shop.example.org', meaning: 'Ctrl-] leaves it' }],
  },
  activate: {
    group: 'Volumes',
    summary: "make a VM's volumes usable here",
    description: [
      'Activates them on the local node, or --force-node, after they were made inactive on all others. Refused when the VM is on another node.',
    ],
    operands: [vm],
    options: ['forceNode', 'json'],
    examples: [
      { line: 'cxm activate shop.example.org', meaning: 'to mount or repair its disks; deactivate it afterwards' },
    ],
  },
  deactivate: {
    group: 'Volumes',
    summary: "make a VM's volumes unusable here",
    description: [
      'Deactivates them on the local node, or --force-node. Refused while the VM is there or a volume is in use.',
    ],
    operands: [vm],
    options: ['forceNode', 'json'],
    examples: [{ line: 'cxm deactivate shop.example.org', meaning: 'after its disks were repaired' }],
  },
  loadbalance: {
    group: 'Nodes',
    summary: 'even out the load by migrations',
    description: [
      'Measures memory and CPU of all VMs for a few seconds, looks for the migrations that make the nodes most alike within LB_MAX_MIGRATION, LB_MAX_VM_PER_NODE and LB_MIN_GAIN, shows the plan and asks. The score is 0 when all nodes are alike, and 141 with everything on one node.',
      'The rules of cxm.conf (LB_PIN, LB_IGNORE, LB_TOGETHER, LB_APART, LB_EMPTY) hold in every step, and what breaks them is mended first. A rule that can not be mended is told as a warning.',
      'With --state it plans for a cluster that a file describes, with the rules of that file; --save-state writes such a file.',
    ],
    options: ['dryRun', 'yes', 'state', 'saveState', 'json'],
    examples: [
      { line: 'cxm loadbalance', meaning: 'shows the plan and asks' },
      { line: 'cxm loadbalance --dry-run', meaning: 'the plan only' },
      { line: 'cxm loadbalance --state cluster.txt', meaning: 'what it would do there' },
    ],
  },
  eject: {
    group: 'Nodes',
    summary: 'move all VMs off a node',
    description: [
      'Migrates all VMs off the local node, or --force-node, for its maintenance: the largest first, each to the node with the least free memory that is enough, among those that the rules of cxm.conf (LB_PIN and others) allow. It does not ask; --dry-run shows where they would go. A migration that fails does not keep the others from their turn; all failures are told at the end.',
    ],
    options: ['forceNode', 'dryRun', 'json'],
    examples: [
      { line: 'cxm eject', meaning: 'this node' },
      { line: 'cxm eject -f node2 --dry-run', meaning: 'where the VMs of node2 would go' },
    ],
  },
  fence: {
    group: 'Nodes',
    summary: 'power a node off',
    description: [
      'Shows the VMs that run there, asks, and runs FENCE_CMD. Those VMs end as by a power failure. Only when FENCE_CMD says that it was successful is the node off for certain, and its VMs may be started elsewhere.',
    ],
    operands: [{ name: 'NODE', kind: 'node' }],
    options: ['yes', 'json'],
    examples: [{ line: 'cxm fence node2', meaning: 'shows what runs there, and asks' }],
  },
  init: {
    group: 'Nodes',
    summary: 'at boot: deactivate the volumes of VMs that do not run here',
    description: [
      'For the boot of a node, after LVM has activated everything it saw and before any VM is started. Works on the local node alone. The others are asked for the VMs with an autostart link here: where one runs that has a link there, too, the one here is removed; a node that is silent changes nothing.',
    ],
    options: ['json'],
    examples: [{ line: 'cxm init', meaning: 'from a unit of systemd, or an init script' }],
  },
  doctor: {
    group: 'cxm itself',
    summary: 'whether the nodes are fit for a cluster, and how to mend them',
    description: [
      'Looks at cxm.conf, ssh from each node to each other, root, programs, Xen, LVM, bridges, versions, clocks and fencing on all nodes, and says what was found and how to mend it. Nothing is changed. The exit code is 2 if something fails, 0 if there are only warnings.',
      '`cxm check` looks at VMs and their volumes.',
    ],
    options: ['json'],
    examples: [
      { line: 'cxm doctor', meaning: 'after an installation, and when something is odd' },
      { line: 'cxm doctor --quiet', meaning: 'only warnings and failures' },
    ],
  },
  config: {
    group: 'cxm itself',
    summary: 'check or show cxm.conf',
    description: [
      '`check` says whether cxm.conf of this node is right, or which line is not. `show` prints every key with its value and where that comes from.',
    ],
    operands: [{ name: 'check|show', kind: 'choice', choices: ['check', 'show'] }],
    options: ['json'],
    examples: [
      { line: 'cxm config check', meaning: 'before the file goes to the nodes' },
      { line: 'CXM_CONF=./cxm.conf cxm config show', meaning: 'another file' },
    ],
  },
  completion: {
    group: 'cxm itself',
    summary: 'print the completion for bash',
    description: [
      'Prints a script that completes subcommands, options, and the names of VMs and nodes. `vms` and `nodes` print the names that it offers: those of the local configuration files, and of ALLOWED_NODES.',
    ],
    operands: [{ name: 'bash|vms|nodes', kind: 'choice', choices: ['bash', 'vms', 'nodes'] }],
    examples: [{ line: 'source <(cxm completion bash)', meaning: 'for this shell' }],
  },
  help: {
    group: 'cxm itself',
    summary: 'help on cxm or a subcommand',
    description: ['The same as `cxm --help` and `cxm SUBCOMMAND --help`.'],
    operands: [{ name: 'SUBCOMMAND', kind: 'pattern', optional: true }],
    examples: [{ line: 'cxm help migrate', meaning: 'the same as cxm migrate --help' }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;

export type CommandName = keyof typeof commandTable;

export const commandNames = Object.keys(commandTable) as CommandName[];

/** What other tools call such a thing: a hint for those who come from there. */
export const otherWords: ReadonlyMap<string, string> = new Map<string, CommandName | '--version'>([
  ['balance', 'loadbalance'],
  ['drain', 'eject'],
  ['evacuate', 'eject'],
  ['find', 'search'],
  ['flush', 'eject'],
  ['ls', 'list'],
  ['ps', 'list'],
  ['rebalance', 'loadbalance'],
  ['show', 'search'],
  ['standby', 'eject'],
  ['startup', 'start'],
  ['status', 'infos'],
  ['stop', 'shutdown'],
  ['verify', 'check'],
  ['version', '--version'],
]);

export function specOf(name: CommandName): CommandSpec {
  return commandTable[name];
}

/** `migrate FQDN DEST` */
export function usageOf(name: CommandName): string {
  const { operands = [] } = specOf(name);
  const words = operands.map(({ name: word, optional, many }) => {
    const shown = many ? `${word}...` : word;
    return optional ? `[${shown}]` : shown;
  });
  return [name, ...words].join(' ');
}
