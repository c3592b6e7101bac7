/**
 * What the operations on domains work with on one host: the toolstack, the volumes of the VMs, configuration files and
 * autostart links, the helpers of other hosts, and time. The real one is made from the operation's context; tests and
 * the sandbox make others.
 */
import { realClock, type Clock } from '../../host/clock.ts';
import { callHelper, questionTimeoutMs } from '../client.ts';
import { noLock } from '../lock.ts';
import type { OperationContext } from '../operation.ts';
import { Xl } from '../../xen/xl.ts';
import type { Toolstack } from '../../xen/toolstack.ts';
import { DomainFiles } from './domain-files.ts';

/** Asks the helper of another host, as root over ssh: xl needs this way for migrations anyway. */
export interface RemoteHelpers {
  /** @throws CxmError what the other helper said, or HOST_UNREACHABLE, HELPER_MISSING, TIMEOUT */
  call(host: string, operation: string, parameters: Readonly<Record<string, unknown>>): Promise<unknown>;
}

export interface DomainHost extends Pick<
  OperationContext,
  'settings' | 'commands' | 'volumes' | 'guard' | 'owner' | 'signal' | 'log' | 'runDirectory'
> {
  readonly toolstack: Toolstack;
  readonly files: DomainFiles;
  readonly remote: RemoteHelpers;
  readonly clock: Clock;
}

export function domainHost(context: OperationContext): DomainHost {
  const { settings, commands, volumes, guard, owner, signal, runDirectory } = context;
  return {
    settings,
    commands,
    volumes,
    guard,
    owner,
    signal,
    log: (severity, text) => context.log(severity, text),
    toolstack: new Xl(commands),
    files: new DomainFiles(settings.CFG_DIR, settings.AUTO_DIR),
    remote: remoteHelpers(context),
    clock: realClock,
    runDirectory,
  };
}

/** The other host gets what decides where files and volumes are; its own /etc/cxm/cxmrc wins over it there. */
function remoteHelpers({ settings, log }: OperationContext): RemoteHelpers {
  const { VG_NAME, LV_PREFIX, CFG_DIR, AUTO_DIR, CONNECT_TIMEOUT } = settings;
  return {
    call: (host, operation, parameters) =>
      callHelper(
        { kind: 'ssh', host, connectTimeoutSeconds: CONNECT_TIMEOUT },
        {
          operation,
          parameters,
          settings: { VG_NAME, LV_PREFIX, CFG_DIR, AUTO_DIR },
          lock: noLock,
          log: (severity, text) => log(severity, `${host}: ${text}`),
          timeoutMs: questionTimeoutMs,
        },
      ),
  };
}
