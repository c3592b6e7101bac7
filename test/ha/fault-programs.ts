/** The programs that stand on the nodes of fault-rig.ts before the stand-ins of cluster-rig.ts, and a clock to be stepped. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const head = `#!/bin/sh
directory=\${0%/*}/..
PATH=$PATH:/usr/bin:/bin
`;

/** FENCE_CMD, with the time at which it begins. */
export const timedFence = `${head}echo "begins $1 $(date +%s%3N)" >>"$directory/fence.times"
exec "$0.plain" "$@"
`;

/** FENCE_STATUS_CMD, with the time at which it has an answer. */
export const timedPower = `${head}state=$("$0.plain" "$@")
echo "ends $1 $(date +%s%3N)" >>"$directory/fence.times"
echo "$state"
`;

/** As long as the real one takes over silent VMs: two packets each, and 433 ms for an answer to each at TIMER=3. */
export const fpingScript = `${head}while [ "$1" != -- ]; do shift; done
shift
silent=
for name; do
  [ -e "$directory/network/$name" ] && echo "$name is alive" || { echo "$name is unreachable"; silent=yes; }
done
[ -z "$silent" ] || sleep 0.87
exit 1
`;

/** The stand-in for ssh knows nothing of networks: it is told who is cut off. A node always reaches itself. */
export const sshScript = `#!/bin/sh
read -r here </proc/sys/kernel/hostname
if [ "$1" != "$here" ]; then
  for node in "$1" "$here"; do
    [ ! -e "$CXM_SANDBOX/cut/$node" ] || { echo "ssh: connect to host $1 port 22: No route to host" >&2; exit 255; }
  done
fi
exec "$0.plain" "$@"
`;

/** Debian's package libfaketime, on any of its architectures. Undefined when it is not installed. */
export function findClockLibrary(): string | undefined {
  const triplets = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' } as Readonly<Record<string, string>>;
  const library = `/usr/lib/${triplets[process.arch] ?? ''}/faketime/libfaketime.so.1`;
  return existsSync(library) ? library : undefined;
}

export function clockFile(directory: string, node: string): string {
  return join(directory, `${node}.clock`);
}

/** The time of day alone is another one, and what the file says is true at once; cxmd's own clock is the kernel's. */
export function fakeClock(library: string, directory: string, node: string): Readonly<Record<string, string>> {
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: clockFile(directory, node),
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  };
}
