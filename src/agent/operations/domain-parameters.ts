/**
 * Parameters of the operations on domains, read at the helper's door.
 */
import { nameFault } from '../../xen/domain-name.ts';
import { CxmError } from '../../errors.ts';
import { absolutePath, longText, optionalString, string, wholeNumber, type Parameters } from '../parameters.ts';

export interface DomainParameters {
  readonly vmId: number;
  /** What oned carries for the domain, if it does. */
  readonly deployId: string | undefined;
}

const maxId = 2 ** 31 - 1;

export function parseVmId(parameters: Parameters): number {
  return wholeNumber(parameters, 'vmId', 0, maxId);
}

export function parseDomain(parameters: Parameters): DomainParameters {
  const deployId = optionalString(parameters, 'deployId', /^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,254}$/, 'a deploy id');
  return { vmId: parseVmId(parameters), deployId };
}

export function parseDiskId(parameters: Parameters): number {
  return wholeNumber(parameters, 'diskId', 0, maxId);
}

/** A name that deploy gave. */
export function parseName(parameters: Parameters): string {
  const name = string(parameters, 'name', /^[A-Za-z0-9.-]{1,253}$/, 'the name of a domain');
  const fault = nameFault(name);
  if (fault === undefined) return name;
  throw new CxmError('INVALID_INPUT', `parameter name is ${name}: ${fault}`);
}

export function parseHostName(parameters: Parameters, name: string): string {
  return string(parameters, name, /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/, 'a host name');
}

/** The VM's directory in the system datastore. */
export function parseVmDirectory(parameters: Parameters, vmId: number): string {
  const directory = absolutePath(parameters, 'directory');
  if (directory.endsWith(`/${vmId}`)) return directory;
  throw new CxmError('INVALID_INPUT', `parameter directory is ${directory}, but must end in /${vmId}`);
}

/** The VM's document or deployment file, which is parsed later. */
export function parseDocument(parameters: Parameters, name: string): string | undefined {
  return parameters[name] === undefined ? undefined : longText(parameters, name, 16 * 1024 * 1024);
}
