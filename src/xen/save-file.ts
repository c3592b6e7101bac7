/**
 * The head of a file that `xl save` wrote: how the guest in it is virtualised and what it boots. As xl of 4.5 and later
 * writes it (tools/xl/xl.h and xl_vmcontrol.c): a magic text; byte order mark, mandatory flags, optional flags and the
 * length of what follows, 32 bits each; then the length of the configuration, and the configuration in libxl's JSON.
 * Nothing in it is believed: it is a file of a user.
 */

export const saveMagic = 'Xen saved domain, xl format\n \0 \r';

const byteOrderMark = 0x01020304;
/** The configuration is JSON. */
const jsonFlag = 1;
const flagsOffset = saveMagic.length + 4;
const lengthOffset = saveMagic.length + 16;
const configurationOffset = lengthOffset + 4;

/** More than the head of any file is long. */
export const maxSaveHeadBytes = 1024 * 1024;

/** A guest as it was when it was saved. */
export interface SavedGuest {
  readonly type: 'pv' | 'pvh' | 'hvm';
  readonly kernel?: string;
  readonly ramdisk?: string;
  /** All of it, with `root=`. */
  readonly commandLine?: string;
  readonly bootloader?: string;
}

/**
 * @param bytes the beginning of the file, up to maxSaveHeadBytes
 * @returns undefined for anything else than such a head
 */
export function parseSaveHead(bytes: Buffer): SavedGuest | undefined {
  if (bytes.length < configurationOffset || bytes.toString('latin1', 0, saveMagic.length) !== saveMagic)
    return undefined;
  const isJson = (bytes.readUInt32LE(flagsOffset) & jsonFlag) !== 0;
  if (bytes.readUInt32LE(saveMagic.length) !== byteOrderMark || !isJson) return undefined;
  const end = configurationOffset + bytes.readUInt32LE(lengthOffset);
  if (end > bytes.length) return undefined;
  try {
    // The length counts the NUL at the end.
    return guestOf(JSON.parse(bytes.toString('utf8', configurationOffset, end).replace(/\0+$/, '')));
  } catch {
    return undefined;
  }
}

/** @param configuration libxl_domain_config; before 4.10 it has what a guest boots in a part of its own */
function guestOf(configuration: unknown): SavedGuest | undefined {
  const type = memberOf(memberOf(configuration, 'c_info'), 'type');
  if (type !== 'pv' && type !== 'pvh' && type !== 'hvm') return undefined;
  const build = memberOf(configuration, 'b_info');
  const text = (name: string): string | undefined => {
    const found = memberOf(build, name) ?? memberOf(memberOf(build, `type.${type}`), name);
    return typeof found === 'string' && found !== '' ? found : undefined;
  };
  const words = { kernel: text('kernel'), ramdisk: text('ramdisk'), commandLine: text('cmdline') };
  const given = Object.entries({ ...words, bootloader: text('bootloader') }).filter(([, word]) => word !== undefined);
  return { type, ...Object.fromEntries(given) };
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** The same head for a configuration, as the simulated xl writes it. */
export function formatSaveHead(configuration: object): Buffer {
  const text = Buffer.from(`${JSON.stringify(configuration)}\0`);
  const numbers = Buffer.alloc(20);
  // Flags: JSON, and the second form of the stream.
  [byteOrderMark, 3, 0, text.length + 4, text.length].forEach((value, index) =>
    numbers.writeUInt32LE(value, 4 * index),
  );
  return Buffer.concat([Buffer.from(saveMagic, 'latin1'), numbers, text]);
}

/** Where what follows the head begins. */
export function saveHeadLength(bytes: Buffer): number {
  return lengthOffset + bytes.readUInt32LE(lengthOffset - 4);
}
