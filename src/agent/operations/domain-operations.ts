/**
 * The operations on domains as cxm-host offers them: their names, the check of their parameters, and the manager's
 * method that does the work.
 */
import type { DomainDisk, DomainNic } from '../../one/domain/description.ts';
import { macAddress, targetDevice } from '../../one/domain/checks.ts';
import { checkedNic } from '../../one/domain/devices.ts';
import { CxmError } from '../../errors.ts';
import type { Operation, OperationContext } from '../operation.ts';
import {
  absolutePath,
  flag,
  longText,
  optionalNumber,
  optionalString,
  string,
  wholeNumber,
  type Parameters,
} from '../parameters.ts';
import { domainHost, type DomainHost } from './domain-host.ts';
import { managerOf, type DomainManager } from './domain-manager.ts';
import {
  parseDiskId,
  parseDocument,
  parseDomain,
  parseHostName,
  parseVmDirectory,
  parseVmId,
  type DomainParameters,
} from './domain-parameters.ts';
import {
  abandon,
  look,
  parseAbandon,
  parseNamedVm,
  parsePrepare,
  parseSettle,
  prepare,
  settle,
  type NamedVm,
} from './domain-receive.ts';
import type { DeployParameters } from './domain-deploy.ts';
import type { RestoreParameters, SaveParameters } from './domain-save.ts';

const maxDocumentCharacters = 3 * 1024 * 1024;

function parseDeploy(parameters: Parameters): DeployParameters {
  const vmId = parseVmId(parameters);
  return {
    vmId,
    directory: parseVmDirectory(parameters, vmId),
    deployment: longText(parameters, 'deployment', maxDocumentCharacters),
    document: parseDocument(parameters, 'document'),
    begunMs: optionalNumber(parameters, 'begunMs'),
  };
}

function parseSave(parameters: Parameters): SaveParameters {
  const domain = parseDomain(parameters);
  const checkpoint = absolutePath(parameters, 'checkpoint');
  if (new RegExp(`/${domain.vmId}/checkpoint(\\.\\d{1,20})?$`).test(checkpoint)) return { ...domain, checkpoint };
  throw new CxmError(
    'INVALID_INPUT',
    `parameter checkpoint is ${checkpoint}, but must end in /${domain.vmId}/checkpoint`,
  );
}

function parseRestore(parameters: Parameters): RestoreParameters {
  const saved = parseSave(parameters);
  const directory = parseVmDirectory(parameters, saved.vmId);
  const document = parseDocument(parameters, 'document');
  return { ...saved, directory, document, begunMs: optionalNumber(parameters, 'begunMs') };
}

function parseTarget(parameters: Parameters, vmId: number): string {
  const target = string(parameters, 'target', /^[a-z]{2,6}$/, 'a device of a guest');
  return targetDevice({ vmId, what: 'the target' }, target);
}

function parseAttachDisk(parameters: Parameters): DomainParameters & { readonly disk: DomainDisk } {
  const domain = parseDomain(parameters);
  const disk = {
    diskId: parseDiskId(parameters),
    target: parseTarget(parameters, domain.vmId),
    readonly: flag(parameters, 'readonly'),
    cdrom: false,
  };
  return { ...domain, disk };
}

/** An interface again, word by word: this is root's door, and the host has interfaces that are no guest's. */
function parseAttachNic(parameters: Parameters): DomainParameters & { readonly nic: DomainNic } {
  const domain = parseDomain(parameters);
  const text = (name: string): string | undefined =>
    optionalString(parameters, name, /^[A-Za-z0-9_.: -]{1,255}$/, 'a word of a network interface');
  const model = text('model');
  const words = {
    mac: text('mac'),
    bridge: text('bridge'),
    ips: text('ip')?.split(' ') ?? [],
    model,
    script: text('script'),
    interfaceName: text('interfaceName'),
  };
  // The driver, which knows the guest, names a model for an emulated card only.
  return { ...domain, nic: checkedNic(words, domain.vmId, 'the interface', model === undefined ? 'pv' : 'hvm') };
}

function parseMac(parameters: Parameters, vmId: number): string {
  return macAddress({ vmId, what: 'the MAC' }, string(parameters, 'mac', /^[0-9A-Fa-f:]{17}$/, 'a MAC address'));
}

/** An operation that is a method of the manager. */
function managed<P, R>(
  name: string,
  parse: (parameters: Parameters) => P,
  run: (manager: DomainManager, parameters: P) => Promise<R>,
): Operation<P, R> {
  return { name, parse, run: (context: OperationContext, parameters: P) => run(managerOf(context), parameters) };
}

/** An operation that one host asks of another, as root: it takes a configuration as it is. */
function between<P, R>(
  name: string,
  parse: (parameters: Parameters) => P,
  run: (host: DomainHost, parameters: P) => Promise<R>,
): Operation<P, R> {
  return {
    name,
    parse,
    run(context: OperationContext, parameters: P) {
      if (process.geteuid?.() === 0 && context.owner.uid !== 0) {
        throw new CxmError('FOREIGN', `${name} is for the helpers of other hosts, which come as root`);
      }
      return run(domainHost(context), parameters);
    },
  };
}

/** Every operation on domains. */
export const domainOperations = [
  managed('domain-deploy', parseDeploy, (manager, parameters) => manager.deploy(parameters)),
  managed('domain-shutdown', parseDomain, (manager, parameters) => manager.shutdown(parameters)),
  managed('domain-cancel', parseDomain, (manager, parameters) => manager.cancel(parameters)),
  managed('domain-reboot', parseDomain, (manager, parameters) => manager.reboot(parameters)),
  managed('domain-reset', parseDomain, (manager, parameters) => manager.reset(parameters)),
  managed('domain-save', parseSave, (manager, parameters) => manager.save(parameters)),
  managed('domain-restore', parseRestore, (manager, parameters) => manager.restore(parameters)),
  managed(
    'domain-migrate',
    (parameters) => ({ ...parseDomain(parameters), destination: parseHostName(parameters, 'destination') }),
    (manager, parameters) => manager.migrate(parameters),
  ),
  managed('domain-attach-disk', parseAttachDisk, (manager, parameters) => manager.attachDisk(parameters)),
  managed(
    'domain-detach-disk',
    (parameters) => {
      const domain = parseDomain(parameters);
      return { ...domain, diskId: parseDiskId(parameters), target: parseTarget(parameters, domain.vmId) };
    },
    (manager, parameters) => manager.detachDisk(parameters),
  ),
  managed('domain-attach-nic', parseAttachNic, (manager, parameters) => manager.attachNic(parameters)),
  managed(
    'domain-detach-nic',
    (parameters) => ({ ...parseDomain(parameters), mac: parseMac(parameters, parseVmId(parameters)) }),
    (manager, parameters) => manager.detachNic(parameters),
  ),
  managed(
    'domain-resize',
    (parameters) => ({
      ...parseDomain(parameters),
      memoryMib: wholeNumber(parameters, 'memoryMib', 1, 64 * 1024 ** 2),
      vcpus: wholeNumber(parameters, 'vcpus', 1, 512),
      cpuWeight: wholeNumber(parameters, 'cpuWeight', 1, 65_535),
    }),
    (manager, parameters) => manager.resize(parameters),
  ),
  managed(
    'domain-check-disk-size',
    (parameters) => ({
      ...parseDomain(parameters),
      diskId: parseDiskId(parameters),
      sizeMib: wholeNumber(parameters, 'sizeMib', 1, 1024 ** 3),
    }),
    (manager, parameters) => manager.checkDiskSize(parameters),
  ),
  managed('domain-poll', parseDomain, (manager, parameters) => manager.poll(parameters)),
  {
    name: 'domain-look',
    parse: parseNamedVm,
    run: (context: OperationContext, vm: NamedVm) => look(domainHost(context), vm),
  },
  between('domain-prepare', parsePrepare, prepare),
  between('domain-settle', parseSettle, settle),
  between('domain-abandon', parseAbandon, abandon),
] as readonly Operation[];
