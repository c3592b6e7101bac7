/** What the programs of the machine do wrong at the moment. */
export interface Troubles {
  pingsUnresolved: boolean;
  pingsLateMs: number;
  toolstackHung: boolean;
  watchdogUnfed: boolean;
}

export function noTroubles(): Troubles {
  return { pingsUnresolved: false, pingsLateMs: 0, toolstackHung: false, watchdogUnfed: false };
}
