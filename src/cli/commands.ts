/** The code behind each subcommand, loaded when it is called. */
import type { CommandName } from './command-table.ts';
import type { CommandBody } from './context.ts';

export const commands: Readonly<Record<Exclude<CommandName, 'help'>, () => Promise<CommandBody>>> = {
  infos: async () => (await import('./commands/infos.ts')).infos,
  top: async () => (await import('./commands/top.ts')).top,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  list: async () => (await import('./commands/list.ts')).list,
  search: async () => (await import('./commands/search.ts')).search,
  check: async () => (await import('./commands/check.ts')).check,
  'check-cpu': async () => (await import('./commands/check-cpu.ts')).checkCpu,
  create: async () => (await import('./commands/create.ts')).create,
  start: async () => (await import('./commands/start.ts')).start,
  shutdown: async () => (await import('./commands/shutdown.ts')).shutdown,
  reboot: async () => (await import('./commands/reboot.ts')).reboot,
  destroy: async () => (await import('./commands/destroy.ts')).destroy,
  'shutdown-all': async () => (await import('./commands/shutdown-all.ts')).shutdownAll,
  migrate: async () => (await import('./commands/migrate.ts')).migrate,
  console: async () => (await import('./commands/console.ts')).console,
  activate: async () => (await import('./commands/activate.ts')).activate,
  deactivate: async () => (await import('./commands/deactivate.ts')).deactivate,
  loadbalance: async () => (await import('./commands/loadbalance.ts')).loadbalance,
  eject: async () => (await import('./commands/eject.ts')).eject,
  fence: async () => (await import('./commands/fence.ts')).fence,
  init: async () => (await import('./commands/init.ts')).init,
  config: async () => (await import('./commands/config.ts')).config,
  completion: async () => (await import('./commands/completion.ts')).completion,
};
