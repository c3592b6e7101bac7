/**
 * What programs of this node may ask the daemon, by the name of the method. Those of the first table change nothing, and are
 * what the group CXMD_GROUP gets.
 */
import type { Connection, Method, Methods } from '../calls/json-rpc.ts';
import { askShape, localCallShape, nothingShape, whyShape } from '../calls/messages.ts';
import { CxmError } from '../../errors.ts';
import type { BootClock } from '../effects/boot-clock.ts';
import type { RejectionCount } from '../wire/rejections.ts';
import type { Journal } from './journal.ts';
import type { Shell } from './shell.ts';
import { nodesOf, statusOf } from './view.ts';

export interface MethodParts {
  readonly shell: Shell;
  readonly clock: BootClock;
  readonly journal: Journal;
  readonly started: Date;
  readonly version: string;
  rejections(): readonly RejectionCount[];
}

const whyLimit = 200;
const maxWatchers = 16;

export function readingMethods({ shell, clock, journal, started, version, rejections }: MethodParts): Methods {
  const watchers = new Set<Connection>();
  return new Map<string, Method>([
    ['ping', (params) => Promise.resolve(nothingShape(params, 'params')).then(() => 'OK')],
    ['status', () => Promise.resolve(statusOf(shell.state, clock(), started, version))],
    ['nodes', () => Promise.resolve(nodesOf(shell.state, clock()))],
    ['dump', () => Promise.resolve({ nowMs: clock(), rejections: rejections(), state: shell.state })],
    ['why', (params) => Promise.resolve(journal.about(whyShape(params, 'params').subject, whyLimit))],
    [
      'watch',
      (_params, connection) => {
        // Once for each, however often it asks.
        if (watchers.has(connection)) return Promise.resolve('watching');
        if (watchers.size >= maxWatchers) throw new CxmError('REFUSED', 'too many programs watch already');
        watchers.add(connection);
        const stop = journal.watch((entry) => connection.notify('event', entry));
        connection.onClose(() => {
          watchers.delete(connection);
          stop();
        });
        return Promise.resolve('watching');
      },
    ],
  ]);
}

/** For root. */
export function changingMethods({ shell }: Pick<MethodParts, 'shell'>): Methods {
  return new Map([['call', async (params: unknown) => shell.call(localCallShape(params, 'params').call)]]);
}

/** What other nodes may ask. */
export function peerMethods(shell: () => Shell | undefined): Methods {
  const ask = async (params: unknown): Promise<unknown> => {
    const { from, request } = askShape(params, 'params');
    const current = shell();
    if (current === undefined || from === current.state.config.self) {
      throw new CxmError('REFUSED', 'this cxmd does not answer to that node now');
    }
    return current.answer(from, request);
  };
  return new Map([['ask', ask]]);
}
