/**
 * What may be the name of a VM within Xen: of its domain, its configuration file and its autostart link. A DNS name of
 * letters, digits, `-` and `.`, and never something that xl, LVM or cxm takes for something else.
 */

const maxLabelLength = 63;
const maxNameLength = 253;
const labelPattern = /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/;

/** Names that mean something else, with what they mean. */
const reservedNames: readonly { readonly pattern: RegExp; readonly because: string }[] = [
  { pattern: /^\d+$/, because: 'xl takes a name of digits for the number of a domain' },
  { pattern: /^Domain-0$/i, because: 'it is the name of the host itself' },
  { pattern: /^migrating-/i, because: 'domains under migration are called so' },
  { pattern: /--(incoming|migratedaway)$/i, because: 'domains under migration are called so' },
  { pattern: /\.cfg$/i, because: 'cxm takes FQDN.cfg for the configuration of FQDN' },
];

/** What is wrong with the name of a domain, as half a sentence; undefined if nothing is. */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name.length > maxNameLength) return `it is longer than ${maxNameLength} characters`;
  const labels = name.split('.');
  if (labels.some((label) => label.length > maxLabelLength))
    return `a part of it is longer than ${maxLabelLength} characters`;
  if (!labels.every((label) => labelPattern.test(label))) {
    return 'a name is made of letters, digits and -, with . between its parts, which neither begin nor end with -';
  }
  return reservedNames.find(({ pattern }) => pattern.test(name))?.because;
}

/** Names of this machine itself, wherever they are resolved. */
const loopbackPattern = /(^|\.)(localhost|localdomain)$|^(localhost[46]|ip6-(localhost|loopback))(\.|$)/i;
/** A label of an address: resolvers take 127.1, 0x7f.1 and 017700000001 for addresses, too (inet_aton(3)). */
const numberPattern = /^(\d+|0x[0-9a-f]*)$/i;

/**
 * Why a VM must not be given the name, as half a sentence; undefined if it may. cxmd pings VMs by their names before it
 * fences a node: what answers to such a name is never the VM. Unlike `nameFault` this is asked for new names only, so that
 * a VM that has one already can still be worked on.
 */
export function newNameFault(name: string): string | undefined {
  const fault = nameFault(name);
  if (fault !== undefined) return fault;
  if (loopbackPattern.test(name)) return 'it is the name of the host itself';
  return name.split('.').every((label) => numberPattern.test(label)) ? 'it reads like an IP address' : undefined;
}
