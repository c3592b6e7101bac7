/**
 * Why a toolstack refused or failed. xl's exit codes say little (0 for an unknown domain in one subcommand, 1 for nearly
 * everything else), so the reason is read from what it says: a table of its messages, each with the reason, the error
 * code and what the reader should do.
 */
import { CxmError } from '../errors.ts';
import type { Changed, ErrorCode } from '../errors.ts';

export type ToolstackReason =
  | 'unknownDomain'
  | 'nameTaken'
  | 'noMemory'
  | 'diskInUse'
  | 'missingDisk'
  | 'missingKernel'
  | 'missingBridge'
  | 'badConfig'
  | 'unresponsiveGuest'
  | 'noPowerControl'
  | 'deviceExists'
  | 'unknownDevice'
  | 'tooManyVcpus'
  | 'memoryAboveMaximum'
  | 'guestTooSmall'
  | 'cannotMigrate'
  | 'noSpaceForSave'
  | 'saveNotWritable'
  | 'missingSaveFile'
  | 'badSaveFile'
  | 'unreachable'
  | 'receiverFailed'
  | 'handshakeLost'
  | 'domainZero'
  | 'noHypervisor'
  | 'timeout'
  | 'other';

/** A failure of the toolstack. `reason` is what callers decide on; the message carries what the toolstack said. */
export class ToolstackError extends CxmError {
  readonly reason: ToolstackReason;
  /** Everything the toolstack wrote to standard error, for the log. */
  readonly said: string;

  constructor(
    reason: ToolstackReason,
    code: ErrorCode,
    message: string,
    options: { hint?: string; changed?: Changed; said?: string; cause?: unknown } = {},
  ) {
    super(code, message, options);
    this.reason = reason;
    this.said = options.said ?? '';
  }
}

export function isToolstackError(error: unknown, ...reasons: readonly ToolstackReason[]): error is ToolstackError {
  return error instanceof ToolstackError && (reasons.length === 0 || reasons.includes(error.reason));
}

interface Rule {
  readonly pattern: RegExp;
  readonly reason: ToolstackReason;
  readonly code: ErrorCode;
  readonly hint: string;
}

/**
 * xl 4.17's messages. The first rule that matches decides: causes stand before what follows from them (a bridge that is
 * missing on a migration's target also makes the creation there fail and the sender's stream end early).
 */
const rules: readonly Rule[] = [
  {
    pattern: /cannot (?:open|init) (?:libxl|xl) context|privileged command interface|Is xenstore daemon running/i,
    reason: 'noHypervisor',
    code: 'XEN',
    hint: 'boot the host with Xen and start xencommons',
  },
  {
    pattern: /Migration failed during final handshake/,
    reason: 'handshakeLost',
    code: 'XEN',
    hint: 'look on both hosts before doing anything: the domain may run on either, and must not run on both',
  },
  {
    // The exit code of the `timeout` that xl.ts puts before ssh.
    pattern: /migration transport process \[\d+\] exited with error status (?:124|137)/,
    reason: 'timeout',
    code: 'TIMEOUT',
    hint: 'the guest goes on at the source; look at the network and the load of the destination',
  },
  {
    // The last: the domain ended by itself after its id was found. -21 is libxl's ERROR_DOMAIN_NOTFOUND.
    pattern:
      /is an invalid domain identifier|Can't get domid of domain name|Can't get domain name of domain id|destroy failed \(rc=-21\)/,
    reason: 'unknownDomain',
    code: 'NOT_FOUND',
    hint: 'look with `xl list` where the domain is',
  },
  {
    pattern:
      /^ssh: |Host key verification failed|Permission denied \(|Could not resolve hostname|^Timeout, server .* not responding|reading banner from migration receiver/m,
    reason: 'unreachable',
    code: 'HOST_UNREACHABLE',
    hint: 'as root on the source host, try `ssh DESTINATION xl info`',
  },
  {
    pattern: /Domain with name ".*" already exists/,
    reason: 'nameTaken',
    code: 'NAME_TAKEN',
    hint: 'find the other domain of this name with `xl list -v`',
  },
  {
    pattern: /failed to stat: |Unable to set disk defaults/,
    reason: 'missingDisk',
    code: 'XEN',
    hint: 'activate the logical volume on this host, or correct the path',
  },
  {
    pattern:
      /is mounted (?:read-write |read-only )?in (?:a |another )?(?:guest|privileged|the|domain)|and so cannot be mounted now/,
    reason: 'diskInUse',
    code: 'IN_USE',
    hint: 'another domain of this host has the disk: look with `xl list -l`',
  },
  {
    pattern: /Could not find bridge device|Could not find bridge /,
    reason: 'missingBridge',
    code: 'XEN',
    hint: 'create the bridge on this host or correct the name',
  },
  {
    pattern: /xc_dom_chk_alloc_pages: segment \w+ too large/,
    reason: 'guestTooSmall',
    code: 'XEN',
    hint: 'give the VM more memory: its kernel does not fit',
  },
  {
    // Xen built without shadow paging, as Debian 12's security update is, and a guest or processor without nested paging.
    pattern: /Failed to enable logdirty/,
    reason: 'cannotMigrate',
    code: 'UNSUPPORTED',
    hint: 'the Xen of this host can not migrate such a guest live: migrate it without --live, or make it PVH or HVM',
  },
  {
    // The last one is what a restore and the receiving side of a migration say.
    pattern:
      /can't allocate low memory|Out of memory|Cannot allocate memory|failed to free memory for the domain|Failed to populate physmap/,
    reason: 'noMemory',
    code: 'XEN',
    hint: 'free memory on this host or choose another one',
  },
  {
    pattern:
      /xc_dom_(?:kernel|ramdisk)_file failed|xg_dom_core\.c:\d+: failed to open file|bootloader .*failed|failed to exec bootloader/,
    reason: 'missingKernel',
    code: 'XEN',
    hint: 'put the kernel, ramdisk or bootloader where the configuration names it',
  },
  {
    pattern:
      /config parsing error|Failed to parse config|Failed to read config file|Domain name must be specified|Neither kernel nor bootloader specified|Invalid domain type|Invalid parameter|is not a valid number|bad disk syntax|unknown (?:parameter|value) |Invalid disk|Failed to parse/,
    reason: 'badConfig',
    code: 'INVALID_INPUT',
    hint: "mend the domain's configuration",
  },
  {
    pattern: /guest didn't acknowledge control request/,
    reason: 'unresponsiveGuest',
    code: 'TIMEOUT',
    hint: 'destroy the domain, or look at its console',
  },
  {
    pattern: /PV control interface not available/,
    reason: 'noPowerControl',
    code: 'XEN',
    hint: 'install PV drivers or enable ACPI in the guest',
  },
  {
    pattern: /device already exists in xenstore/,
    reason: 'deviceExists',
    code: 'IN_USE',
    hint: 'choose another device name',
  },
  {
    pattern: /Device .* not connected|Unknown device/,
    reason: 'unknownDevice',
    code: 'NOT_FOUND',
    hint: 'look with `xl block-list` or `xl network-list`',
  },
  {
    pattern: /You are overcommm?itting/,
    reason: 'tooManyVcpus',
    code: 'INVALID_INPUT',
    hint: 'ask for no more VCPUs than the host has CPUs',
  },
  {
    pattern: /memory_dynamic_max must be less than or equal to memory_static_max/,
    reason: 'memoryAboveMaximum',
    code: 'INVALID_INPUT',
    hint: 'a running domain grows up to maxmem of its configuration',
  },
  {
    pattern: /Failed to open temp file|Failed to open .* for writing/,
    reason: 'saveNotWritable',
    code: 'IO',
    hint: 'create the directory of the checkpoint on this host',
  },
  {
    pattern: /No space left on device/,
    reason: 'noSpaceForSave',
    code: 'NO_SPACE',
    hint: 'the guest runs on; free as much space as it has memory',
  },
  {
    pattern: /Can't open restore file/,
    reason: 'missingSaveFile',
    code: 'NOT_FOUND',
    hint: 'look for the checkpoint on the host where the VM was saved',
  },
  {
    pattern: /File has wrong magic number|Savefile has mandatory flag|reading .* from .*save file|Invalid save/,
    reason: 'badSaveFile',
    code: 'INVALID_INPUT',
    hint: 'the checkpoint is damaged or of another toolstack',
  },
  {
    pattern: /Not destroying domain 0/,
    reason: 'domainZero',
    code: 'FOREIGN',
    hint: 'domain 0 is the host itself',
  },
  {
    pattern: /migration target: Domain creation failed|Migration failed|due to problems at target/,
    reason: 'receiverFailed',
    code: 'XEN',
    hint: 'see /var/log/xen on the destination',
  },
];

/** Lines that only repeat that something went wrong, or how far it got. */
const chatter =
  /^(?:Parsing config |Saving to |Loading new save file | ?Savefile contains |xc: (?:info|progress): |libxl: (?:info|warning): |migration (?:sender|target): (?:Ready|Transfer|Target has|Giving|Got)|.*libxl__destroy_domid|.*domain_destroy_(?:callback|cb)|\s*$)/;

/**
 * The error for a run of xl that failed.
 * @param what the action in words: `xl create of /etc/xen/vm/one-7`
 */
export function toolstackError(
  what: string,
  exitCode: number,
  stderr: string,
  changed: Changed = 'maybe',
): ToolstackError {
  const rule = rules.find((candidate) => candidate.pattern.test(stderr));
  const lines = stderr.split('\n').map((line) => line.trimEnd());
  const telling = lines.filter((line) => !chatter.test(line));
  const deciding = lines.find((line) => rule?.pattern.test(line)) ?? telling[0] ?? `exit code ${exitCode}`;
  const cleaned = deciding.replace(/^libxl: error: \S+?:\d+:\w+: ?/, '').replace(/^xc: error: /, '');
  return new ToolstackError(rule?.reason ?? 'other', rule?.code ?? 'XEN', `${what} failed: ${cleaned.slice(0, 500)}`, {
    changed,
    said: stderr,
    ...(rule === undefined ? {} : { hint: rule.hint }),
  });
}
