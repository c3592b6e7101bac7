/**
 * What cxmd tells the system's log: a line an event, each with a number of its own that never changes its meaning, for
 * people and programs who look for it. The table is the documentation (EVENTS of cxmd(8) comes from it).
 */

export type Priority = 'critical' | 'error' | 'warning' | 'notice' | 'info' | 'debug';

/** As syslog counts them; systemd reads the number at the beginning of a line. */
const levels: Readonly<Record<Priority, number>> = { critical: 2, error: 3, warning: 4, notice: 5, info: 6, debug: 7 };

interface EventKind {
  readonly id: number;
  readonly priority: Priority;
  readonly meaning: string;
}

export const eventKinds = {
  started: { id: 1, priority: 'notice', meaning: 'cxmd has begun' },
  stopped: { id: 2, priority: 'notice', meaning: 'cxmd ends' },
  reloaded: { id: 3, priority: 'notice', meaning: 'cxm.conf and the key were read again' },
  configuration: { id: 4, priority: 'error', meaning: 'a configuration that can not be used' },
  joined: { id: 10, priority: 'notice', meaning: 'this node is a member' },
  notLetIn: { id: 11, priority: 'warning', meaning: 'this node was not let in' },
  left: { id: 12, priority: 'notice', meaning: 'this node has left' },
  outOfCluster: {
    id: 13,
    priority: 'critical',
    meaning: 'this node was taken out of the cluster, or takes itself out',
  },
  claim: { id: 20, priority: 'info', meaning: 'this node claims the lease of the master, or gives the claim up' },
  master: { id: 21, priority: 'notice', meaning: 'this node is master' },
  noMaster: { id: 22, priority: 'notice', meaning: 'this node is master no longer' },
  channel: { id: 30, priority: 'notice', meaning: 'a node is heard or seen again, or no longer, on network or disk' },
  ownPause: { id: 31, priority: 'warning', meaning: 'this daemon was stopped for a while' },
  dead: { id: 40, priority: 'error', meaning: 'a node is presumed dead' },
  fence: { id: 41, priority: 'error', meaning: 'a node is fenced' },
  off: { id: 42, priority: 'error', meaning: 'a node is off for certain' },
  recovery: { id: 43, priority: 'warning', meaning: 'a recovery goes on, or has ended' },
  takenOut: { id: 44, priority: 'warning', meaning: 'a person took a node out' },
  ordered: { id: 50, priority: 'warning', meaning: 'a VM is ordered to start, or not' },
  mayStart: { id: 51, priority: 'notice', meaning: 'a VM may start or come here, since it is claimed' },
  moving: { id: 52, priority: 'notice', meaning: 'a VM is to leave its node' },
  started_vm: { id: 53, priority: 'notice', meaning: 'how the start or arrival of a VM has ended' },
  balance: { id: 54, priority: 'notice', meaning: 'what the automatic balance does, or why it waits' },
  mended: { id: 55, priority: 'notice', meaning: 'what a migration that was cut off has left is mended, or why not' },
  panic: { id: 60, priority: 'critical', meaning: 'panic: no failover until a person has looked' },
  panicEnds: { id: 61, priority: 'notice', meaning: 'a person has ended the panic' },
  switched: {
    id: 62,
    priority: 'notice',
    meaning: 'maintenance, or fencing for the whole cluster, was turned on or off',
  },
  alarm: { id: 70, priority: 'error', meaning: 'a person should know' },
  refused: {
    id: 80,
    priority: 'warning',
    meaning: 'what came from the network and is not of this cluster, once a minute',
  },
  network: {
    id: 81,
    priority: 'warning',
    meaning: 'heartbeats can not be sent, or a node has no address; once a minute',
  },
  disk: { id: 82, priority: 'error', meaning: 'the heartbeat disk can not be read or written, or can again' },
  hypervisor: { id: 83, priority: 'error', meaning: 'the toolstack of this node does not answer, or does again' },
  journal: { id: 84, priority: 'error', meaning: 'the journal can not be written' },
  slot: {
    id: 85,
    priority: 'error',
    meaning: 'the slot of a node on the heartbeat disk can not be read, once a minute; or can again, or was mended',
  },
  slotFull: {
    id: 86,
    priority: 'error',
    meaning: 'this node has more VMs than its slot can name, once a minute; or they fit again',
  },
  decision: { id: 90, priority: 'info', meaning: 'another decision' },
  trace: { id: 99, priority: 'debug', meaning: 'every effect, with DAEMON_DEBUG' },
} as const satisfies Readonly<Record<string, EventKind>>;

export type EventName = keyof typeof eventKinds;

/** Which event a decision of the protocol is, by how its words begin. */
const decisions: readonly (readonly [string, EventName])[] = [
  ['joined', 'joined'],
  ['not let in', 'notLetIn'],
  ['left', 'left'],
  ['out of the cluster', 'outOfCluster'],
  ['claim', 'claim'],
  ['master,', 'master'],
  ['no longer master', 'noMaster'],
  ['net ', 'channel'],
  ['own pause', 'ownPause'],
  ['presumed dead', 'dead'],
  ['fence', 'fence'],
  ['off', 'off'],
  ['recover', 'recovery'],
  ['taken out', 'takenOut'],
  ['ordered to start', 'ordered'],
  ['not started', 'ordered'],
  ['may start here', 'mayStart'],
  ['may come from', 'mayStart'],
  ['is to leave', 'moving'],
  ['panic', 'panic'],
  ['end of panic', 'panicEnds'],
  ['in maintenance', 'switched'],
  ['in service', 'switched'],
  ['disarmed', 'switched'],
  ['armed', 'switched'],
  ['alarm', 'alarm'],
  ['slot ', 'slot'],
  ['has more VMs', 'slotFull'],
  ['has VMs', 'slotFull'],
];

export function eventOf(decision: string): EventName {
  return decisions.find(([beginning]) => decision.startsWith(beginning))?.[1] ?? 'decision';
}

/** `<5>CXM021 node1: master, epoch 3` */
export function renderLine(event: EventName, text: string): string {
  const { id, priority } = eventKinds[event];
  // One line an event, whatever the text brings along.
  const clean = text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, ' ').slice(0, 1000);
  return `<${levels[priority]}>CXM${String(id).padStart(3, '0')} ${clean}\n`;
}

export type Logger = (event: EventName, text: string) => void;

export function createLogger(write: (line: string) => void, debug: boolean): Logger {
  return (event, text) => {
    if (event !== 'trace' || debug) write(renderLine(event, text));
  };
}
