/** The doctor's checks of cxm.conf: readable, the same everywhere, and what of it must agree. Pure. */
import { cxmConfTable } from '../config/cxm-conf.ts';
import { parseSettingsOf, resolveOf } from '../config/load.ts';
import { CxmError } from '../errors.ts';
import type { DoctorContext } from './doctor.ts';
import type { NodeFacts } from './doctor-facts.ts';
import { finding, perNode, same, type CheckResult, type Fault } from './doctor-verdicts.ts';

type Context = Pick<DoctorContext, 'localName' | 'allowedNodes' | 'configurationPath' | 'configurationError'>;

export function configurationChecks(nodes: readonly NodeFacts[], context: Context): CheckResult[] {
  return [...readable(nodes, context), ...membership(context), ...vmDirectories(nodes)];
}

function readable(
  nodes: readonly NodeFacts[],
  { configurationPath: path, configurationError }: Context,
): CheckResult[] {
  if (configurationError !== undefined) {
    return [finding('configuration', '', 'fail', configurationError.message, configurationError.hint)];
  }
  const faults = perNode('configuration', nodes, '', (node) => fault(node, path)).filter(
    ({ verdict }) => verdict !== 'ok',
  );
  const prints = same('configuration', nodes, ({ configuration }) => configuration?.fingerprint);
  const mend = `copy the right ${path} to all nodes`;
  return [...faults, ...prints(`${path} (fingerprint {})`, mend, 'fail')];
}

function fault({ node, configuration }: NodeFacts, path: string): Fault | undefined {
  if (configuration === undefined) {
    return {
      verdict: 'fail',
      found: `there is no readable ${path}`,
      mend: `copy ${path} there from another node, or write it: see docs/cxm.conf.md`,
    };
  }
  try {
    resolveOf(cxmConfTable, parseSettingsOf(cxmConfTable, configuration.text, `${path} on ${node}`));
    return undefined;
  } catch (error) {
    const { message, hint } = error instanceof CxmError ? error : new CxmError('CONFIG', String(error));
    return { verdict: 'fail', found: message, mend: hint };
  }
}

function membership({ localName, allowedNodes, configurationPath }: Context): CheckResult[] {
  if (allowedNodes.includes(localName)) {
    return [finding('membership', '', 'ok', `${localName} is one of ${allowedNodes.join(', ')}`)];
  }
  const nodes = allowedNodes.length === 0 ? 'names no nodes' : `has only ${allowedNodes.join(', ')}`;
  const mend = `add ${localName} to ALLOWED_NODES if it is a node of the cluster; else call cxm on one`;
  return [finding('membership', localName, 'fail', `ALLOWED_NODES of ${configurationPath} ${nodes}`, mend)];
}

function vmDirectories(nodes: readonly NodeFacts[]): CheckResult[] {
  const unreadable = perNode('vm-directory', nodes, '', ({ configs }) =>
    configs instanceof CxmError
      ? { verdict: 'fail', found: configs.message, mend: 'make the directory readable for root' }
      : undefined,
  ).filter(({ verdict }) => verdict !== 'ok');
  const directories = same('vm-directory', nodes, directoryOf);
  const mend = 'the configurations of VMs must be in the same place everywhere: set one VMCONF_DIR';
  return [...unreadable, ...directories('VMCONF_DIR {}', mend, 'fail')];
}

function directoryOf({ configuration }: NodeFacts): string | undefined {
  try {
    if (configuration === undefined) return undefined;
    return resolveOf(cxmConfTable, parseSettingsOf(cxmConfTable, configuration.text, '')).VMCONF_DIR;
  } catch {
    return undefined;
  }
}
