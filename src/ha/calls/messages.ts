/** The shapes of what one cxmd asks another one, and of what programs of this node ask theirs. Pure. */
import { maxCounter } from '../bytes.ts';
import type { Answer, Call, Request } from '../protocol/messages.ts';
import { maxNodes } from '../records.ts';
import { count, list, optional, record, text, truth, variant, word } from './shape.ts';

const maxNameLength = 255;
const maxReasonLength = 10_000;
/** VMs of a node. */
const maxVms = 2000;

const name = text(maxNameLength);
const node = count(0, maxNodes - 1);
const counter = count(0, maxCounter);
const token = record({ epoch: counter, owner: node });
const vm = record({ name, phase: word('running', 'starting', 'incoming') });

export const requestShape = variant<Request>({
  join: record({
    name,
    incarnation: counter,
    nodes: list(name, maxNodes),
    diskId: text(64),
    timerMs: count(1, 3_600_000),
  }),
  ping: record({ vms: list(name, maxVms) }),
  survey: record({}),
  start: record({ vm: name, token }),
  receive: record({ vm: name, source: node, token }),
});

export const answerShape = variant<Answer>({
  join: record({
    accepted: truth,
    final: truth,
    reason: text(maxReasonLength),
    minimumIncarnation: counter,
  }),
  ping: record({ results: list(word('answer', 'silent', 'unknown'), maxVms) }),
  survey: record({ vms: list(vm, maxVms), others: truth }),
  start: record({ outcome: word('running', 'refused', 'failed', 'unknown'), reason: text(maxReasonLength) }),
});

export const callShape = variant<Call>({
  join: record({}),
  leave: record({}),
  kill: record({ node, confirmedOff: truth }),
  recover: record({}),
  'force-panic': record({ reason: text(300) }),
  'force-election': record({}),
  lock: record({ name, holder: name }),
  unlock: record({ name, holder: name }),
  maintenance: record({ on: truth }),
  disarm: record({ on: truth }),
});

export const askShape = record({ from: node, request: requestShape });
export const localCallShape = record({ call: callShape });
export const whyShape = record<{ readonly subject: string | undefined }>({ subject: optional(name) });
export const nothingShape = record({});
