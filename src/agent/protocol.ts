/**
 * The words between a driver action and `cxm-host`, the one program that works as root on a Xen host.
 *
 * An action opens one connection (`ssh HOST sudo -n /usr/local/sbin/cxm-host`, or sudo alone on the host itself) and
 * both sides exchange frames over standard input and output: one type byte, the payload's length as 32-bit big-endian,
 * the payload. The command line carries no arguments, so nothing has to be quoted for the remote shell, and an end of
 * the connection is never mistaken for the end of the data: data ends with an `end` frame.
 *
 * Raw data: large data need not be put into frames, so that programs can read and write the connection by themselves.
 * - To the helper: the action says `raw` and nothing else until the helper says `go`. If that agrees, pieces follow, each
 *   behind its length in bytes as a decimal number on a line; a line with 0 ends them. Then frames go on.
 * - From the helper: a `boundary` frame, the data, and when that ends the boundary once more. It is 32 random bytes made
 *   for this one time, so nobody who writes the data can know them.
 * In both directions an `end` frame has to follow before the data counts as complete.
 */
import type { Changed, ErrorCode } from '../errors.ts';

/** Both sides must speak the same version. */
export const protocolVersion = 2;

/** Where the helper is installed on hosts; sudo's rule names exactly this. */
export const helperPath = '/usr/local/sbin/cxm-host';

/** No frame is larger: a limit against memory exhaustion by a broken peer. */
export const maxFrameBytes = 4 * 1024 * 1024;

export type FrameType = 'message' | 'data' | 'extent' | 'end' | 'boundary';

/** Type bytes on the wire. */
export const frameCodes: Readonly<Record<FrameType, number>> = {
  message: 0x4a,
  data: 0x44,
  extent: 0x58,
  end: 0x45,
  boundary: 0x42,
};

/** Length of a boundary. */
export const boundaryBytes = 32;

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
  /** The answer to the helper's last question. */
  | { readonly kind: 'answer'; readonly value: unknown }
  /** Roll back and end. Whoever says so goes on answering until the `result` or `error`: rolling back needs the lock. */
  | { readonly kind: 'abort' }
  /** Data will come raw, if the helper agrees; nothing comes before its `go`. */
  | { readonly kind: 'raw' };

/**
 * What the helper may ask; it asks one thing at a time and waits for the answer.
 * - `lock`: the lock under which volume group metadata is changed; answered with true once it is held, else with a
 *   sentence that says why it can't be had.
 * - `unlock`: gives it back.
 * - `stored`: all data was sent; answered once it is safe on the other side, so that the source may go.
 * - `route`: what this host has of a disk that moves; answered with the way it should go.
 */
export type Topic = 'lock' | 'unlock' | 'stored' | 'route';

/** From the helper to the action. */
export type HelperMessage =
  | { readonly kind: 'log'; readonly severity: 'INFO' | 'DEBUG' | 'WARN'; readonly text: string }
  | { readonly kind: 'ask'; readonly topic: Topic; readonly detail: Readonly<Record<string, unknown>> }
  /** The helper takes data now, or is about to send some, which `detail` describes. */
  | { readonly kind: 'ready'; readonly detail: Readonly<Record<string, unknown>> }
  /** The answer to `raw`; without agreement the data has to come in frames. */
  | { readonly kind: 'go'; readonly agreed: boolean }
  | { readonly kind: 'result'; readonly value: unknown }
  | {
      readonly kind: 'error';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      readonly changed: Changed;
    };
