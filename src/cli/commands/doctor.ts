/** `cxm doctor`: whether the nodes are fit for a cluster. With a broken cxm.conf it looks at least at this machine. */
import type { ClusterNode } from '../../cluster/node.ts';
import { judge, worstOf } from '../../cluster/doctor.ts';
import { gatherFacts } from '../../cluster/doctor-facts.ts';
import { commandNode } from '../../cluster/node-body.ts';
import { cxmConfTable, type CxmConf } from '../../config/cxm-conf.ts';
import { cxmConfPath } from '../../config/cxm-conf-file.ts';
import { resolveOf } from '../../config/load.ts';
import { asCxmError, type CxmError } from '../../errors.ts';
import { localMachine } from '../../host/hold.ts';
import type { CommandBody, CommandContext } from '../context.ts';
import { doctorJson, doctorText } from '../doctor-output.ts';
import { exitCodes } from '../exit-codes.ts';
import { styleOf } from '../style.ts';

export const doctor: CommandBody = async (context) => {
  const { environment, options, progress } = context;
  const { stdout, env } = environment.terminal;
  const { path, configuration, error } = readConfiguration(context);
  const nodes = error === undefined ? await nodesOf(context, configuration) : [thisMachine(context, configuration)];
  const { FENCE_CMD, FENCE_STATUS_CMD } = configuration;
  const fencePrograms = [FENCE_CMD, ...(FENCE_STATUS_CMD === undefined ? [] : [FENCE_STATUS_CMD])];
  const facts = await progress.during(
    () => `looking at ${nodes.map(({ name }) => name).join(', ')}`,
    gatherFacts({
      nodes,
      configurationPath: path,
      fencePrograms,
      today: () => Date.now(),
    }),
  );
  const results = judge(facts, {
    localName: environment.localName,
    allowedNodes: configuration.ALLOWED_NODES,
    configurationPath: path,
    configurationError: error,
    fencing: { programs: fencePrograms, disabled: configuration.DISABLE_FENCING },
  });
  if (options.json) context.json(doctorJson(results));
  else stdout.write(doctorText(results, !options.quiet, styleOf(stdout, env)));
  return worstOf(results) === 'fail' ? exitCodes.refused : exitCodes.done;
};

interface ReadConfiguration {
  readonly path: string;
  readonly configuration: CxmConf;
  /** Then the configuration is the one of an empty file. */
  readonly error: CxmError | undefined;
}

function readConfiguration({ environment }: CommandContext): ReadConfiguration {
  try {
    const { path, configuration } = environment.configuration();
    return { path, configuration, error: undefined };
  } catch (error) {
    const path = environment.terminal.env['CXM_CONF'] || cxmConfPath;
    return { path, configuration: resolveOf(cxmConfTable), error: asCxmError(error) };
  }
}

async function nodesOf(context: CommandContext, configuration: CxmConf): Promise<readonly ClusterNode[]> {
  if (configuration.ALLOWED_NODES.length === 0) return [thisMachine(context, configuration)];
  return (await context.open()).nodes;
}

function thisMachine({ environment }: CommandContext, configuration: CxmConf): ClusterNode {
  return commandNode(environment.localName, localMachine, {
    configDirectory: configuration.VMCONF_DIR,
    autostartDirectory: configuration.AUTO_DIR,
    runDirectory: '/run/cxm',
  });
}
