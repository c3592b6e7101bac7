/** Names of the files about a VM in the run directory of a node. */
import { checkedName } from './node-files.ts';

/** Without a suffix. @throws CxmError INVALID_INPUT */
export function lockName(vm: string): string {
  return `vm-${checkedName(vm)}`;
}

/** The VM of a file with that suffix; undefined if it is none of a VM. */
export function vmOfLock(fileName: string, suffix: string): string | undefined {
  const isOne = fileName.startsWith('vm-') && fileName.endsWith(suffix);
  return isOne ? fileName.slice('vm-'.length, -suffix.length) : undefined;
}
