/**
 * A sandbox that stays: a script that opens a shell in it, one that removes it, and the words that say so.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from './layout.ts';
import { frontendEnvironment } from './one/calls.ts';

/** Writes `enter` and `remove`. */
export function writeKeepScripts(layout: Layout, mounts: boolean): void {
  const variables = Object.entries(frontendEnvironment(layout, mounts));
  const exports = variables.map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`).join('\n');
  const enter = `#!/bin/sh
# Opens a shell on the frontend of this sandbox, or runs a command there.
${exports}
export PS1='sandbox:frontend \\w \\$ '
cd "$HOME" || exit 1
[ $# -gt 0 ] && exec "$@"
exec bash --norc --noprofile -i
`;
  const remove = `#!/bin/sh
# Ends whatever runs in this sandbox and removes it.
exec node '${join(layout.library, 'tour.cjs')}' remove '${layout.directory}'
`;
  for (const [name, text] of [
    ['enter', enter],
    ['remove', remove],
  ] as const) {
    writeFileSync(join(layout.directory, name), text);
    chmodSync(join(layout.directory, name), 0o755);
  }
}

/** What to do in a sandbox that stays. */
export function keepText({ directory }: Layout): readonly string[] {
  return [
    `The sandbox stays in ${directory}. VM 7 runs on node1, VM 8 on node3.`,
    '',
    `    ${directory}/enter`,
    '',
    'opens a shell on its frontend. There, for example:',
    '',
    '    onevm list; onehost list; oneimage list       what oned believes',
    '    onevm migrate --live 7 node2                  and all else that `onevm help` tells',
    '    cxm infos; cxm list; cxm check                what the cluster says, as if called on node1',
    '    cxm migrate shop.alice node2 --dry-run        the steps; without --dry-run it does them',
    '    cxm help                                      all else that cxm can do',
    '    ssh node1 xl list                             what a host says',
    '    ssh node1                                     a shell there, with xl and xentop',
    '    touch $CXM_SANDBOX/nodes/node2/down           node2 is dead until the file goes',
    '    ls -l datastores/0/7                          the directory of VM 7',
    '',
    `    ${directory}/remove`,
    '',
    'ends everything in it and removes it.',
  ];
}
