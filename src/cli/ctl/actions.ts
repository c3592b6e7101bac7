/** What each action of cxmd_ctl does: one question to cxmd of this node, and how its answer is shown. */
import { findLiveUsers, formatDevice, inspectDevice } from '../../ha/disk/prepare.ts';
import type { NodeReport, StatusReport } from '../../ha/daemon/view.ts';
import type { JournalEntry } from '../../ha/daemon/journal.ts';
import type { Reply } from '../../ha/daemon/shell.ts';
import type { Call } from '../../ha/protocol/messages.ts';
import { maxNodes } from '../../ha/records.ts';
import { CxmError } from '../../errors.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import type { CtlContext } from './context.ts';
import type { CtlActionName } from './table.ts';

type Action = (context: CtlContext) => Promise<ExitCode>;

export const ctlBodies: Readonly<Record<CtlActionName, Action>> = {
  async ping(context) {
    context.answer(String(await context.ask('ping')), { answer: 'OK' });
    return exitCodes.done;
  },
  async status(context) {
    const status = (await context.ask('status')) as StatusReport;
    if (context.wantsJson) context.json(status);
    else context.print(statusLines(status));
    if (!status.isMember) context.warn(`${status.node} is no member of the cluster${because(status.refusal)}`);
    return exitCodes.done;
  },
  async 'list-nodes'(context) {
    const nodes = (await context.ask('nodes')) as readonly NodeReport[];
    if (context.wantsJson) context.json(nodes);
    else {
      const rows = nodes.map((node) => [node.name, roleOf(node), node.net, node.disk, String(node.vms.length)]);
      context.table(['NODE', 'ROLE', 'NET', 'DISK', 'VMS'], rows);
    }
    return exitCodes.done;
  },
  async why(context) {
    const params = context.value === '' ? {} : { subject: context.value };
    const entries = (await context.ask('why', params)) as readonly JournalEntry[];
    if (context.wantsJson) context.json(entries);
    else if (entries.length === 0) {
      const about = context.value === '' ? '' : ` about ${context.value}`;
      context.print([`Nothing was decided${about} on this node.`]);
    } else context.print(entries.map(lineOf));
    return exitCodes.done;
  },
  async watch(context) {
    await context.watch((entry) => {
      if (context.wantsJson) context.print([JSON.stringify(entry)]);
      else context.print([lineOf(entry as JournalEntry)]);
    });
    return exitCodes.error;
  },
  async dump(context) {
    context.json(await context.ask('dump'));
    return exitCodes.done;
  },
  async maintenance(context) {
    if (context.value !== 'on' && context.value !== 'off') {
      throw new CxmError('USAGE', `--maintenance takes on or off, not '${context.value.slice(0, 40)}'`, {
        hint: 'usage: cxmd_ctl --maintenance on|off',
      });
    }
    return order(context, { kind: 'maintenance', on: context.value === 'on' });
  },
  disarm: (context) => order(context, { kind: 'disarm', on: true }),
  arm: (context) => order(context, { kind: 'disarm', on: false }),
  'force-election': (context) => order(context, { kind: 'force-election' }),
  async 'force-panic'(context) {
    await context.ask('ping');
    await context.confirm('No VM is started elsewhere when a node fails, until --recover. Panic?');
    return order(context, { kind: 'force-panic', reason: 'a person said so' });
  },
  async recover(context) {
    // Nobody is asked for nothing: first whether cxmd is there.
    await context.ask('ping');
    await context.confirm('Have you looked at all nodes, and does no VM run on two of them? End the panic?');
    return order(context, { kind: 'recover' });
  },
  async kill(context) {
    const nodes = (await context.ask('nodes')) as readonly NodeReport[];
    const node = nodes.find(({ name }) => name === context.value) ?? slotBeyond(nodes, context.value);
    if (node === undefined) {
      const hint = `its nodes are ${nodes.map(({ name }) => name).join(', ')}`;
      throw new CxmError('NOT_FOUND', `${context.value} is no node of the cluster`, { hint });
    }
    const confirmedOff = context.has('off');
    const vms = node.vms.length === 0 ? 'No VM runs there.' : `There run ${node.vms.join(', ')}.`;
    const vouch = confirmedOff ? ' You say that it has no power: if it has, its VMs may come to run twice.' : '';
    await context.confirm(`${vms}${vouch} Take ${node.name} out of the cluster?`);
    return order(context, { kind: 'kill', node: node.index, confirmedOff });
  },
  async quit(context) {
    const status = (await context.ask('status')) as StatusReport;
    if (status.state === 'recovery' && status.role === 'active') {
      context.warn('a recovery runs here: another master will have to finish it');
      await context.confirm('Leave all the same?');
    }
    return order(context, { kind: 'leave' });
  },
  format,
};

/** `slot 7`: one that can't be read and belongs to no node of the list, as the log calls it. */
function slotBeyond(
  nodes: readonly NodeReport[],
  name: string,
): Pick<NodeReport, 'index' | 'name' | 'vms'> | undefined {
  const index = Number(/^slot ([0-9]{1,2})$/.exec(name)?.[1] ?? maxNodes);
  const isKnown = nodes.some((node) => node.index === index);
  return index < maxNodes && !isKnown ? { index, name, vms: [] } : undefined;
}

async function order(context: CtlContext, call: Call): Promise<ExitCode> {
  const { ok, text } = (await context.ask('call', { call })) as Reply;
  if (!ok) throw new CxmError('REFUSED', text, { hint: '' });
  context.answer(text, { ok, text });
  return exitCodes.done;
}

async function format(context: CtlContext): Promise<ExitCode> {
  const { HB_DISK: path, CLUSTER_NAME: cluster } = context.configuration();
  if (path === undefined || cluster === undefined) {
    throw new CxmError('CONFIG', 'cxm.conf must set HB_DISK and CLUSTER_NAME before the disk can be formatted', {
      hint: '`cxm config show` has what is set, `man cxm.conf` what they mean',
    });
  }
  if (await context.isRunning()) throw new CxmError('REFUSED', 'cxmd runs on this node: stop it on all nodes first');
  const findings = await inspectDevice(path, context.commands);
  const { users, cluster: former, carries } = findings;
  const live = former === undefined ? [] : await findLiveUsers(path, former);
  if (live.length > 0) {
    const hint = 'stop cxmd on all nodes first: cxmd_ctl --quit';
    throw new CxmError('REFUSED', `${live.join(', ')} ${live.length > 1 ? 'use' : 'uses'} ${path} now`, { hint });
  }
  // A disk of this very cluster that nobody uses any more may be made anew without --force; a person is asked.
  const isOwn = former === cluster && users.length === 0;
  const isForced = context.has('force') || isOwn;
  if (carries !== undefined && !isForced) {
    const inUse =
      users.length === 0 ? '' : `, with which ${users.join(', ')} ${users.length > 1 ? 'have' : 'has'} not ended`;
    throw new CxmError('REFUSED', `${path} is not empty: it carries ${carries}${inUse}`, {
      hint: 'look with `lsblk -f` and `wipefs`; when it may really be overwritten, say so with --force',
    });
  }
  const using =
    users.length === 0 ? '' : ` ${users.join(', ')} used it and did not say goodbye: is cxmd stopped there?`;
  const lost = carries === undefined ? `${path} is empty.` : `${path} carries ${carries}, which is lost.`;
  await context.confirm(`${lost}${using} Make it the heartbeat disk of the cluster ${cluster}?`);
  const diskId = formatDevice(path, cluster, findings, isForced);
  context.answer(`${path} is the heartbeat disk of the cluster ${cluster}.`, { path, cluster, diskId });
  return exitCodes.done;
}

function statusLines(status: StatusReport): readonly string[] {
  const lines = [
    `node:   ${status.node}`,
    `role:   ${status.role}${status.maintenance ? ', in maintenance' : ''}`,
    `master: ${status.master ?? 'none'} (epoch ${status.epoch})`,
    `since:  ${status.since}`,
    `state:  ${status.state}${status.disarmed ? ', disarmed: nobody is fenced' : ''}`,
  ];
  return status.recoveryOf.length === 0 ? lines : [...lines, `recovers: ${status.recoveryOf.join(', ')}`];
}

function roleOf({ role, isMaster, isSelf, maintenance }: NodeReport): string {
  const marks = [isMaster ? 'master' : '', isSelf ? 'this node' : '', maintenance ? 'maintenance' : ''];
  const words = marks.filter((mark) => mark !== '').join(', ');
  return words === '' ? role : `${role} (${words})`;
}

function lineOf({ at, subject, decision, evidence }: JournalEntry): string {
  return `${at}  ${subject}: ${decision}${because(evidence)}`;
}

function because(reason: string): string {
  return reason === '' ? '' : ` (${reason})`;
}
