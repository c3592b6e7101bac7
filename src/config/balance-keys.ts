/**
 * The rules of the load balancer in cxm.conf, as far as several keys or lists have to go together: nodes that are none, a VM
 * in two places of one rule, two that are to be together and apart. What passes here passes the balancer's own door. Pure.
 */

/** The keys with rules, as cxm.conf has them: texts of words with blanks between them. */
export interface BalanceKeys {
  readonly ALLOWED_NODES: readonly string[];
  readonly LB_PIN: readonly string[];
  readonly LB_IGNORE: readonly string[];
  readonly LB_TOGETHER: readonly string[];
  readonly LB_APART: readonly string[];
  readonly LB_EMPTY: readonly string[];
}

interface Problem {
  readonly key: keyof BalanceKeys;
  readonly problem: string;
}

/** The first one found. */
export function balanceContradiction(keys: BalanceKeys): Problem | undefined {
  const pins = keys.LB_PIN.map(wordsOf);
  return (
    strangeNode(
      keys,
      'LB_PIN',
      pins.flatMap(([, ...nodes]) => nodes),
    ) ??
    strangeNode(keys, 'LB_EMPTY', keys.LB_EMPTY) ??
    twice(
      'LB_PIN',
      pins.flatMap(([vm]) => vm ?? []),
    ) ??
    twice('LB_IGNORE', keys.LB_IGNORE.flatMap(wordsOf)) ??
    twice('LB_TOGETHER', keys.LB_TOGETHER.flatMap(wordsOf)) ??
    togetherAndApart(keys)
  );
}

export function wordsOf(text: string): readonly string[] {
  return text.split(' ');
}

function strangeNode(
  { ALLOWED_NODES }: BalanceKeys,
  key: keyof BalanceKeys,
  nodes: readonly string[],
): Problem | undefined {
  const stranger = nodes.find((node) => !ALLOWED_NODES.includes(node));
  return stranger === undefined ? undefined : { key, problem: `names ${stranger}, which is none of ALLOWED_NODES` };
}

function twice(key: keyof BalanceKeys, vms: readonly string[]): Problem | undefined {
  const seen = new Set<string>();
  const doubled = vms.find((vm) => seen.size === seen.add(vm).size);
  return doubled === undefined ? undefined : { key, problem: `names ${doubled} twice` };
}

function togetherAndApart({ LB_TOGETHER, LB_APART }: BalanceKeys): Problem | undefined {
  for (const group of LB_APART.map(wordsOf)) {
    for (const friends of LB_TOGETHER.map(wordsOf)) {
      const [one, other] = friends.filter((vm) => group.includes(vm));
      if (one === undefined || other === undefined) continue;
      return { key: 'LB_APART', problem: `keeps ${one} and ${other} apart, which LB_TOGETHER keeps together` };
    }
  }
  return undefined;
}
