/**
 * The automatic balance of cxmd, by the library of the cluster: measures, decides with hysteresis, migrates.
 *
 * Guarantees: nothing is moved beside a node that should answer and does not; one VM after the other, the daemon's word
 * before each; a migration that fails ends the round, since the plan counted on it. The history is of this process only: a
 * new master waits for LB_HOLD anew, and so does one that has left out rounds.
 */
import { explainStep, explainWaiting } from '../balance/explain.ts';
import { decide, emptyHistory, type Decision } from '../balance/hysteresis.ts';
import type { PlanStep } from '../balance/describe.ts';
import { lookForBalance } from '../cluster/balance-look.ts';
import { costOf, limitsOf } from '../cluster/balance-rules.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { migrateVm } from '../cluster/migrate.ts';
import type { CxmConf } from '../config/cxm-conf.ts';
import { asCxmError } from '../errors.ts';
import type { MasterRound, MasterWork } from '../ha/effects/master-work.ts';
import { guarded } from './cluster-hypervisor.ts';

export interface BalancerParts {
  configuration(): CxmConf;
  open(nodes: readonly string[]): Cluster;
  /** Milliseconds of a clock that never jumps. */
  clock(): number;
}

export function clusterBalancer({ configuration, open, clock }: BalancerParts): MasterWork {
  let history = emptyHistory;
  let told = '';
  return {
    async round(round) {
      // Of what goes on unchanged, once is enough.
      const tell = (text: string, kind = text): void => {
        if (kind !== told) round.tell(text);
        told = kind;
      };
      try {
        const conf = configuration();
        const { state, rules, silent } = await lookForBalance(open(round.nodes), conf, round.maintenance);
        const [one] = silent;
        if (one !== undefined) return tell(`nothing is moved: ${one.node} does not answer: ${one.error.message}`);
        const limits = limitsOf(conf);
        const settings = hysteresisOf(conf);
        const decision = decide(history, state, clock() / 1000, { limits, rules, cost: costOf(conf), settings });
        ({ history } = decision);
        if (decision.wait !== undefined) tell(`nothing is moved: ${explainWaiting(decision.wait)}`, decision.wait.kind);
        else await carryOut(decision, round, open, tell);
      } catch (error) {
        tell(`the load could not be balanced: ${asCxmError(error).message}`);
      }
    },
  };
}

function hysteresisOf({ LB_INTERVAL, LB_THRESHOLD, LB_HOLD, LB_COOLDOWN }: CxmConf) {
  return {
    thresholdScore: LB_THRESHOLD,
    holdSeconds: LB_HOLD,
    cooldownSeconds: LB_COOLDOWN,
    // One round that is left out, and measuring takes its time, too.
    gapSeconds: 2 * LB_INTERVAL + 60,
  };
}

async function carryOut(
  { plan }: Decision,
  round: MasterRound,
  open: BalancerParts['open'],
  tell: (text: string) => void,
): Promise<void> {
  if (plan === undefined) return;
  tell(`the score is ${plan.before.score.toFixed(1)}, and ${plan.after.score.toFixed(1)} after this plan:`);
  const steps: readonly PlanStep[] = plan.plan;
  for (const step of steps) tell(explainStep(step));
  for (const { vm, destination } of steps) {
    const obstacle = round.obstacle();
    if (obstacle !== undefined) return tell(`${vm} stays, and all behind it: ${obstacle}`);
    await migrateVm(guarded(open(round.nodes), round), { vm, destination });
    tell(`${vm} runs on ${destination}`);
  }
}
