/**
 * The words between a driver action and `cxm-host`, the one program that works as root on a Xen host.
 *
 * An action opens one connection (`ssh HOST sudo -n /usr/local/sbin/cxm-host`, or sudo alone on the host itself) and
 * both sides exchange frames over standard input and output: one type byte, the payload's length as 32-bit big-endian,
 * the payload. The command line carries no arguments, so nothing has to be quoted for the remote shell, and an end of
 * the connection is never mistaken for the end of the data: data ends with an `end` frame.
 */
import type { Changed, ErrorCode } from '../errors.ts';

/** Both sides must speak the same version. */
export const protocolVersion = 1;

/** Where the helper is installed on hosts; sudo's rule names exactly this. */
export const helperPath = '/usr/local/sbin/cxm-host';

/** No frame is larger: a limit against memory exhaustion by a broken peer. */
export const maxFrameBytes = 4 * 1024 * 1024;

export type FrameType = 'message' | 'data' | 'extent' | 'end';

/** Type bytes on the wire. */
export const frameCodes: Readonly<Record<FrameType, number>> = { message: 0x4a, data: 0x44, extent: 0x58, end: 0x45 };

/** `extent`: payload is the byte offset as 64-bit big-endian, then the bytes that belong there. */
export const extentHeaderBytes = 8;

/** From the action to the helper. */
export type ClientMessage =
  | {
      readonly kind: 'request';
      readonly version: number;
      readonly operation: string;
      readonly parameters: Readonly<Record<string, unknown>>;
      /** The frontend's cxmrc; keys that /etc/cxm/cxmrc of the host sets win over it. */
      readonly settings: Readonly<Record<string, string>>;
    }
  /** The lock that was asked for is held by the action until `unlock` or the end of the helper. */
  | { readonly kind: 'grant' }
  /** Roll back and end. */
  | { readonly kind: 'abort' };

/** From the helper to the action. */
export type HelperMessage =
  | { readonly kind: 'log'; readonly severity: 'INFO' | 'DEBUG' | 'WARN'; readonly text: string }
  /** Asks for the lock of a volume group before its metadata is changed; answered by `grant`. */
  | { readonly kind: 'lock'; readonly volumeGroup: string; readonly uuid: string }
  | { readonly kind: 'unlock' }
  /** The helper is prepared and takes data now. */
  | { readonly kind: 'ready'; readonly [key: string]: unknown }
  | { readonly kind: 'result'; readonly value: unknown }
  | {
      readonly kind: 'error';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      readonly changed: Changed;
    };
