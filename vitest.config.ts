import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// house: the rules of the source tree; unit: everything that needs no root and no other machine;
// commands: cxm as people call it, on VMs and nodes of the sandbox, each call some twenty processes;
// daemons: several real cxmd at a time, which mostly wait for each other;
// lab: real LVM and ssh on user-mode-linux nodes, started by test/run.ts inside the lab's namespaces;
// xen: real Xen on QEMU, started by test/xen-lab/command.ts likewise.
const commands = ['actions', 'balance', 'json', 'races'].map((name) => `test/cli/${name}.test.ts`);
const daemons = ['cluster', 'failover', 'faults', 'fuzz', 'master-rounds', 'soak'].map(
  (name) => `test/ha/${name}.test.ts`,
);

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Many tests wait for other programs: more of them than cores keep those busy.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    minWorkers: 1,
    projects: [
      { extends: true, test: { name: 'house', include: ['test/house/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/house/**', 'test/lab/**', 'test/xen-lab/**', ...commands, ...daemons],
        },
      },
      { extends: true, test: { name: 'commands', include: commands } },
      { extends: true, test: { name: 'daemons', include: daemons } },
      {
        extends: true,
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 180_000,
          pool: 'forks',
          poolOptions: { forks: { singleFork: true } },
        },
      },
      {
        extends: true,
        test: {
          name: 'xen',
          include: ['test/xen-lab/suites/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          pool: 'forks',
          poolOptions: { forks: { singleFork: true } },
        },
      },
    ],
  },
});
