/**
 * The door for what a template says about a VM: each check takes a text as a cloud user may have written it and gives
 * back a value that is safe in xl's configuration language and in its comma-separated inner language, or refuses it
 * with one sentence naming the VM, the attribute, what was found and what is allowed.
 */
import { CxmError } from '../../errors.ts';
import { printable } from '../printable.ts';

/** Says which VM and attribute a value belongs to: `VM 7: NIC 0 MAC`. */
export interface Subject {
  readonly vmId: number;
  readonly what: string;
}

/** The error for a value that is not allowed. */
export function refusal(subject: Subject, found: string, allowed: string, hint?: string): CxmError {
  return new CxmError(
    'INVALID_INPUT',
    `VM ${subject.vmId}: ${subject.what} is ${shown(found)}, but must be ${allowed}`,
    {
      ...(hint === undefined ? {} : { hint }),
    },
  );
}

/** A value within a message: one line, in quotes, not longer than a message can bear. */
export function shown(value: string): string {
  // JSON leaves some control characters as they are.
  const text = printable(JSON.stringify(value.slice(0, 100)), 1000);
  return text.length > 80 ? `${text.slice(0, 76)}..."` : text;
}

/** The text if it matches. */
export function matching(subject: Subject, text: string, pattern: RegExp, allowed: string): string {
  if (pattern.test(text)) return text;
  throw refusal(subject, text, allowed);
}

/** A whole number within bounds, written in digits. */
export function wholeNumber(subject: Subject, text: string, min: number, max: number): number {
  const value = /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw refusal(subject, text, `a whole number from ${min} to ${max}`);
}

/** A number with decimals, above zero. */
export function positiveNumber(subject: Subject, text: string, max: number): number {
  const value = /^\s*\d{1,9}(\.\d{1,9})?\s*$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= max) return value;
  throw refusal(subject, text, `a number above 0 and at most ${max}`);
}

/** YES or NO, as OpenNebula writes them, and what people write instead; undefined for an empty text. */
export function yesNo(subject: Subject, text: string | undefined): boolean | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  if (/^(yes|true|on|1)$/i.test(text.trim())) return true;
  if (/^(no|false|off|0)$/i.test(text.trim())) return false;
  throw refusal(subject, text, 'YES or NO');
}

/** One of some words, whatever their case. */
export function oneOfWords<const W extends string>(subject: Subject, text: string, words: readonly W[]): W {
  const word = words.find((candidate) => candidate.toLowerCase() === text.trim().toLowerCase());
  if (word !== undefined) return word;
  throw refusal(subject, text, `one of ${words.join(', ')}`);
}

/** Text that only the guest reads, such as a kernel command line: one line without control characters. */
export function guestText(subject: Subject, text: string): string {
  // Lone surrogates can't be written as UTF-8; \u2028 and \u2029 end a line for some readers.
  if (text.length <= 2048 && !/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(text)) return text;
  throw refusal(subject, text, 'one line of at most 2048 characters');
}

/** A MAC address of one interface, in lower case. */
export function macAddress(subject: Subject, text: string): string {
  const mac = text.trim().toLowerCase();
  const first = Number.parseInt(mac.slice(0, 2), 16);
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac) && (first & 1) === 0) return mac;
  throw refusal(subject, text, 'a MAC address like 02:00:0a:63:00:01, not a multicast one');
}

/** A network interface of Linux: at most 15 characters. */
export function interfaceName(subject: Subject, text: string): string {
  return matching(
    subject,
    text,
    /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/,
    'the name of a network interface: at most 15 letters, digits, _ . and -',
  );
}

/**
 * The name that OpenNebula gives a VM's interface on the host: `one-7-0` for the first one of VM 7. A cloud user may
 * write any other, and Xen's scripts take down, rename or empty whatever interface of the host they are told.
 */
export function ownInterfaceName(subject: Subject, text: string): string {
  const name = interfaceName(subject, text);
  if (new RegExp(`^one-${subject.vmId}-(0|[1-9][0-9]*)$`).test(name)) return name;
  throw refusal(
    subject,
    text,
    `one-${subject.vmId}-N, as OpenNebula names the interfaces of this VM`,
    'leave TARGET out of the NIC: OpenNebula sets it',
  );
}

/** IPv4 or IPv6 address, for the anti-spoofing rules of the vif scripts. */
export function ipAddress(subject: Subject, text: string): string {
  const ip = text.trim();
  if (isIpv4(ip)) return ip;
  if (/^[0-9a-f:]{2,39}$/i.test(ip) && ip.includes(':')) return ip;
  throw refusal(subject, text, 'an IP address');
}

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
}

/** A host name with a letter in its last part, which no short form of an address has. */
const hostName = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/**
 * Where a console listens: an IPv4 address or a host name. libxl gives one with a colon to QEMU as the whole argument of
 * -vnc (libxl_dm.c, Xen 4.17), and joins any other with the display by a colon: so a colon, and the words that QEMU
 * reads before one, could name a file, which root's QEMU replaces by a socket.
 */
export function listenAddress(subject: Subject, text: string): string {
  const address = text.trim();
  if (isIpv4(address)) return address;
  if (hostName.test(address) && !/^(unix|fd|vsock|none)$/i.test(address)) return address;
  throw refusal(
    subject,
    text,
    'an IPv4 address like 0.0.0.0, or a host name',
    'xl can make no console listen on an IPv6 address at every display; 0.0.0.0 is all IPv4 addresses of the host',
  );
}

/** A UUID in lower case. */
export function uuidText(subject: Subject, text: string): string {
  const uuid = text.trim().toLowerCase();
  return matching(
    subject,
    uuid,
    /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    'a UUID like 1b7d3f31-38a2-476c-8bb6-5046400e423d',
  );
}

/** CPUs as `xl vcpu-pin` takes them: `0-3,5,^2` or `all`. */
export function cpuList(subject: Subject, text: string): string {
  const list = text.replace(/\s+/g, '');
  if (list.length <= 1024 && /^(all|\^?\d{1,4}(-\d{1,4})?(,\^?\d{1,4}(-\d{1,4})?)*)$/.test(list)) return list;
  throw refusal(subject, text, 'a list of CPUs like 0-3,5');
}

/** Devices that Xen knows: four IDE ones, sixteen SCSI ones, and its own (libxl, virtual block device numbers). */
const targetPattern = /^(hd[a-d]|sd[a-p]|xvd[a-z]{1,2})$/;

/**
 * The device under which a guest sees a disk. `vda`, which templates for KVM ask for, becomes `xvda`: Xen has no virtio
 * disks of this kind. Nothing else is changed, so that later calls name the same device.
 */
export function targetDevice(subject: Subject, text: string): string {
  const target = text.trim().replace(/^vd(?=[a-z]{1,2}$)/, 'xvd');
  return matching(subject, target, targetPattern, 'a device like xvda, sda (to sdp) or hda (to hdd)');
}
