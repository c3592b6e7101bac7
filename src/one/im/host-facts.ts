/**
 * What a probe reads of the host itself, without root: the CPU's model, the traffic of the physical network cards, room
 * for datastores. What can't be read is left out; a report is not lost because of it.
 */
import { existsSync, readFileSync, statfsSync } from 'node:fs';

export interface HostFacts {
  readonly hostName: string;
  /** Empty when the kernel does not say. */
  readonly modelName: string;
  /** All physical network cards together, since the host started. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** The file system of the datastores; undefined without the directory. */
  readonly datastores: { readonly totalMib: number; readonly freeMib: number } | undefined;
}

export const defaultDatastores = '/var/lib/one/datastores';

export function readHostFacts(hostName: string, datastoreLocation: string): HostFacts {
  return {
    hostName,
    modelName: modelName(readOrEmpty('/proc/cpuinfo')),
    ...traffic(readOrEmpty('/proc/net/dev'), (name) => existsSync(`/sys/class/net/${name}/device`)),
    datastores: room(datastoreLocation),
  };
}

/** From /proc/cpuinfo. */
export function modelName(text: string): string {
  return /^model name\s*:\s*(.*)$/m.exec(text)?.[1]?.trim() ?? '';
}

/** From /proc/net/dev, of the interfaces that `counts` accepts. A frame that a bridge hands on would count twice. */
export function traffic(
  text: string,
  counts: (interfaceName: string) => boolean,
): Pick<HostFacts, 'receivedBytes' | 'sentBytes'> {
  let receivedBytes = 0;
  let sentBytes = 0;
  for (const line of text.split('\n')) {
    const match = /^\s*([^\s:/]+):((?:\s*\d+)+)\s*$/.exec(line);
    const columns = (match?.[2] ?? '').trim().split(/\s+/).map(Number);
    if (match?.[1] === undefined || !counts(match[1])) continue;
    receivedBytes += columns[0] ?? 0;
    sentBytes += columns[8] ?? 0;
  }
  return { receivedBytes, sentBytes };
}

function room(directory: string): HostFacts['datastores'] {
  try {
    const { bsize, blocks, bavail } = statfsSync(directory);
    const mib = (count: number): number => Math.floor((count * bsize) / (1024 * 1024));
    return { totalMib: mib(blocks), freeMib: mib(bavail) };
  } catch {
    return undefined;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
