/** The programs of this machine that the daemon runs by itself: those of fencing, and ping. As cxm.conf says at the moment. */
import type { CxmConf } from '../../config/cxm-conf.ts';
import { pathOf } from '../../host/remote-command.ts';
import type { BootClock } from '../effects/boot-clock.ts';
import { fence, powerOf, type FenceCommands } from '../effects/fencing.ts';
import { pingAll } from '../effects/pinging.ts';
import type { ShellParts } from './shell.ts';

export function programsOf(conf: () => CxmConf, clock: BootClock): Pick<ShellParts, 'fence' | 'powerOf' | 'ping'> {
  const path = (): string => {
    const searched = [conf().PATH, process.env['PATH']].filter((part) => part !== undefined && part !== '');
    return pathOf(searched.join(':'));
  };
  const commands = (): FenceCommands => {
    const { FENCE_CMD, FENCE_STATUS_CMD, FENCE_TIMEOUT } = conf();
    return { fence: FENCE_CMD, status: FENCE_STATUS_CMD, timeoutMs: FENCE_TIMEOUT * 1000, path: path() };
  };
  return {
    fence: (node, notAfterMs) => fence(commands(), node, clock, notAfterMs),
    powerOf: (node) => powerOf(commands(), node),
    ping: (vms, deadlineMs) => pingAll(vms, { deadlineMs, path: path() }),
  };
}
