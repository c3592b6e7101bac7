/** One plan for one large cluster, alone in its process, so that its memory can be told. Arguments: nodes, VMs, placing. */
import { makeCluster, type ClusterShape } from '../balance/generate.ts';
import { planBalance } from '../../src/balance/plan.ts';

const [nodes = '', vms = '', placing = 'random'] = process.argv.slice(2);
const shape = { nodes: Number(nodes), vms: Number(vms), fillPercent: 70, sizes: 'few' as const };
const state = makeCluster(7, { ...shape, placing: placing as ClusterShape['placing'] });
const from = performance.now();
const { before, after } = planBalance(
  state,
  { maxMigrations: 20, maxVmsPerNode: 100, minGainPercent: 1 },
  { choice: 'best' },
);
const seconds = (performance.now() - from) / 1000;
const memoryMib = process.resourceUsage().maxRSS / 1024;
process.stdout.write(JSON.stringify({ seconds, memoryMib, before: before.score, after: after.score }));
