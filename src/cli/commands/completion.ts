/** `cxm completion bash|vms|nodes`: the script, and the names it offers. */
import { nameFault } from '../../xen/domain-name.ts';
import { renderBashCompletion } from '../bash-completion.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const completion: CommandBody = async (context) => {
  const { localName, terminal } = context.environment;
  switch (context.operand(0)) {
    case 'bash':
      terminal.stdout.write(renderBashCompletion());
      break;
    case 'nodes':
      for (const name of context.environment.configuration().configuration.ALLOWED_NODES) context.print(name);
      break;
    case 'vms': {
      const cluster = await context.open([localName]);
      // A shell expands what it is offered: only what can be a VM's name goes there.
      const configs = (await cluster.nodes[0]?.files.readConfigs()) ?? [];
      for (const { vm } of configs) if (nameFault(vm) === undefined) context.print(vm);
    }
  }
  return exitCodes.done;
};
