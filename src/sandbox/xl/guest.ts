/**
 * What guests do when they are asked: acknowledge or not, then end some time later. The end is carried out by a process of
 * its own that outlives the caller, as a real guest and its monitor do: without a monitor the domain stays in the list.
 */
import { spawn } from 'node:child_process';
import { buildDomain, freshGuest, removeDomain, tearDown } from './build.ts';
import { findDomain, parseArguments, sleep, XlFailure } from './context.ts';
import type { Command, Context } from './context.ts';
import { settledCpu, startedCpu } from './domain.ts';
import type { SimulatedDomain } from './domain.ts';
import { continueGuest, stopGuest } from './guest-program.ts';

export const shutdown: Command = (context, args) => request(context, args, 'powerOff');
export const reboot: Command = (context, args) => request(context, args, 'reboot');

async function request(context: Context, args: readonly string[], cause: 'powerOff' | 'reboot'): Promise<number> {
  const { options, operands } = parseArguments(args, ['a', 'w', 'F']);
  const domains = options.has('a') ? context.store.domains() : [findDomain(context, operands[0])];
  for (const domain of domains) {
    context.say(`${cause === 'reboot' ? 'Rebooting' : 'Shutting down'} domain ${domain.id}`);
    if (!(await acknowledges(context, domain))) {
      if (domain.paused) context.store.update(domain.id, (current) => ({ ...current, asked: cause }));
      throw new XlFailure(
        1,
        "libxl: error: libxl_domain.c:854:pvcontrol_cb: guest didn't acknowledge control request: -9",
        `${cause === 'reboot' ? 'reboot' : 'shutdown'} failed (rc=-9)`,
      );
    }
    startEnd(context, domain.id, cause);
  }
  if (options.has('w')) await waitForEnds(context, domains, cause);
  return 0;
}

/** A paused guest can't answer either. One that goes away meanwhile counts as one that has obeyed. */
async function acknowledges(context: Context, domain: SimulatedDomain): Promise<boolean> {
  const { guestIgnoresShutdown, acknowledgeTimeoutMs } = context.store.knobs;
  const deaf =
    typeof guestIgnoresShutdown === 'boolean' ? guestIgnoresShutdown : guestIgnoresShutdown.includes(domain.name);
  if (!deaf && !domain.paused && domain.shutdown === undefined && domain.building === undefined) return true;
  for (const giveUp = Date.now() + acknowledgeTimeoutMs; Date.now() < giveUp; await sleep(50)) {
    if (context.store.get(domain.id) === undefined) return true;
  }
  return false;
}

async function waitForEnds(context: Context, domains: readonly SimulatedDomain[], cause: 'powerOff' | 'reboot') {
  context.say(`Waiting for ${domains.length} domains`);
  for (const { id } of domains) {
    for (let current = context.store.get(id); current !== undefined; current = context.store.get(id)) {
      if (current.shutdown !== undefined) break;
      await sleep(50);
    }
    context.say(`Domain ${id} has been shut down, reason code ${cause === 'reboot' ? 1 : 0}`);
  }
}

function startEnd(context: Context, id: number, cause: string): void {
  const child = spawn(process.execPath, [process.argv[1] ?? '', endCommand, String(id), cause], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, XL_SIMULATED_STATE: context.store.directory },
  });
  child.unref();
}

/** The name under which the program starts itself as guest and monitor. */
export const endCommand = 'simulated-guest-ends';

/** The guest ends; then its monitor, if it has one, does what the configuration says. */
export const guestEnds: Command = async (context, args) => {
  const id = Number(args[0]);
  const cause = args[1] === 'reboot' ? 'reboot' : args[1] === 'crash' ? 'crash' : 'powerOff';
  const { store } = context;
  await sleep(store.knobs.shutdownDelayMs);
  stopGuest(store.get(id));
  const ended = store.update(id, (domain) => ({ ...domain, cpu: settledCpu(domain, Date.now()), shutdown: cause }));
  if (ended === undefined || !ended.monitored) return 0;
  const { settings } = ended;
  const action = { reboot: settings.onReboot, crash: settings.onCrash, powerOff: settings.onPoweroff }[cause];
  if (action === 'preserve') return 0;
  store.update(id, (domain) => ({ ...domain, paused: true }));
  await sleep(store.knobs.teardownMs / 2);
  store.update(id, (domain) => ({ ...domain, name: '(null)' }));
  await sleep(store.knobs.teardownMs / 2);
  if (store.get(id) === undefined) return 0;
  await removeDomain(context, id);
  if (!action.includes('restart')) return 0;
  const { createMs } = store.knobs;
  await buildDomain(context, settings, { durationMs: createMs, paused: false, monitored: true, guest: freshGuest() });
  return 0;
};

export const destroy: Command = async (context, args) => {
  const { options, operands } = parseArguments(args, ['f']);
  if ((operands[0] === '0' || operands[0] === 'Domain-0') && !options.has('f')) {
    throw new XlFailure(
      1,
      'Not destroying domain 0; use -f to force.',
      'This can only be done when using a disaggregated hardware domain and toolstack.',
      '',
    );
  }
  await tearDown(context, findDomain(context, operands[0]).id);
  return 0;
};

export const pause: Command = (context, args) => setPaused(context, args[0], true);
export const unpause: Command = (context, args) => setPaused(context, args[0], false);

function setPaused(context: Context, reference: string | undefined, paused: boolean): number {
  const { id } = findDomain(context, reference);
  const { unpauseFails } = context.store.knobs;
  const refusal = `libxl: error: libxl_domain.c:619:domain_unpause_done: Domain ${id}:unpausing domain failed`;
  if (!paused && unpauseFails === 'before') throw new XlFailure(1, refusal);
  const now = Date.now();
  let asked: SimulatedDomain['asked'];
  if (paused) stopGuest(context.store.get(id));
  const changed = context.store.update(id, (domain) => {
    const cpu = settledCpu(domain, now);
    const { asked: before, ...others } = domain;
    if (!paused) asked = before;
    const kept = paused && before !== undefined ? { asked: before } : {};
    return { ...others, ...kept, cpu: !paused && cpu.seconds === 0 ? startedCpu(now) : cpu, paused };
  });
  if (!paused) continueGuest(changed);
  if (asked !== undefined) startEnd(context, id, asked);
  if (!paused && unpauseFails === 'after') throw new XlFailure(1, refusal);
  return 0;
}

export const rename: Command = (context, args) => {
  const [reference = '', name = ''] = args;
  const { id } = findDomain(context, reference);
  context.store.locked(() => {
    const domain = findDomain(context, String(id));
    if (context.store.domains().some((other) => other.id !== id && other.name === name)) {
      throw new XlFailure(
        1,
        `libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain ${id}:Domain with name "${name}" already exists.`,
        `Can't rename domain '${reference}'.`,
      );
    }
    context.store.put({ ...domain, name, settings: { ...domain.settings, name } });
  });
  return 0;
};
