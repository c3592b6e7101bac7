/**
 * The arguments of premigrate, postmigrate and failmigrate. 3.8 passes the destination first,
 * later versions the source; the VM document is the sixth argument or comes on standard input; a system TM that
 * forwards the call adds its own name. So the direction comes from the document: the last history record is where
 * the VM goes.
 */
import { CxmError } from '../../errors.ts';
import { decodeBase64, readPayload } from '../documents/payload.ts';
import { parseVirtualMachine, type VirtualMachine } from '../documents/virtual-machine.ts';
import { vmDirectory } from './locations.ts';
import { argumentsOf, transferUsage } from './usage.ts';
import { hostName, identifier, plainWord } from './values.ts';

export interface MigrationCall {
  readonly sourceHost: string;
  readonly destinationHost: string;
  /** The VM's directory, the same path on both hosts. */
  readonly directory: string;
  readonly vmId: number;
  readonly systemDatastoreId: number;
  readonly vm: VirtualMachine;
  /** Set when that system TM forwarded the call to us as the TM of image disks. */
  readonly systemTm: string | undefined;
}

/** @throws CxmError USAGE, INVALID_INPUT */
export function parseMigration(
  action: 'premigrate' | 'postmigrate' | 'failmigrate',
  argv: readonly string[],
  standardInput: string,
): MigrationCall {
  const argument = argumentsOf(action, transferUsage[action], argv);
  const hosts = [hostName(argument(0), 'the first host'), hostName(argument(1), 'the second host')] as const;
  const vmId = identifier(argument(3), 'the VM id');
  const systemDatastoreId = identifier(argument(4), 'the datastore id');
  const directory = vmDirectory(argument(2), "the VM's directory", vmId);
  const sixth = argv.length > 5 ? argument(5) : undefined;
  const inArgument = sixth !== undefined && (argv.length === 7 || isDocument(sixth));
  const forwarder = argv.length === 7 ? argument(6) : inArgument ? undefined : sixth;
  const vm = documentOf(action, inArgument ? sixth : standardInput, vmId);
  return {
    ...direction(hosts, vm, inArgument),
    directory,
    vmId,
    systemDatastoreId,
    vm,
    systemTm: forwarder === undefined ? undefined : plainWord(forwarder, 'the name of the system TM'),
  };
}

/** The name of a TM is no base64 of XML, whatever its letters. */
function isDocument(argument: string): boolean {
  return argument.trimStart().startsWith('<') || decodeBase64(argument)?.trimStart().startsWith('<') === true;
}

function documentOf(action: string, input: string, vmId: number): VirtualMachine {
  const what = `the VM document of ${action}`;
  const payload = readPayload(input, what);
  if (payload.kind !== 'xml') {
    throw new CxmError('INVALID_INPUT', `${what} is neither in the arguments nor on standard input`);
  }
  const vm = parseVirtualMachine(payload.text, what);
  if (vm.id === vmId) return vm;
  throw new CxmError('INVALID_INPUT', `${what} is of VM ${vm.id ?? 'without an id'}, but the call is for VM ${vmId}`);
}

function direction(
  hosts: readonly [string, string],
  vm: VirtualMachine,
  inArgument: boolean,
): { sourceHost: string; destinationHost: string } {
  const [first, second] = hosts;
  const destination = vm.history.at(-1)?.host;
  if (destination === second) return { sourceHost: first, destinationHost: second };
  if (destination === first) return { sourceHost: second, destinationHost: first };
  // Versions that use standard input all pass the source first; before, the order alone says nothing.
  if (!inArgument) return { sourceHost: first, destinationHost: second };
  throw new CxmError('INVALID_INPUT', `neither ${first} nor ${second} is the last host in the history of VM ${vm.id}`, {
    hint: 'look at HISTORY_RECORDS in `onevm show -x`',
  });
}
