/** Both ends of a conversation with the helper, as far as it takes to try the other end out. */
import { frameCodes, protocolVersion, type ClientMessage, type HelperMessage } from '../src/agent/protocol.ts';

/** A shell script to be found as `ssh`: whatever an action asks of the host, it was done at once. */
export const answeringHost = `#!/bin/sh\nprintf '${inOctal(frameOf({ kind: 'result', value: null }))}'\nwhile read -r line; do :; done\n`;

/** Arguments with which tm/cxm/mkswap asks the host once. */
export const oneRequest: readonly string[] = ['16', 'host:/var/lib/one/datastores/0/7/disk.1', '7', '0'];

/** What cxm-host reads of such an action; it refuses the parameters. */
export const refusedRequest = frameOf({
  kind: 'request',
  version: protocolVersion,
  operation: 'create-disk',
  parameters: {},
  settings: { VG_NAME: 'VG0' },
});

function frameOf(message: ClientMessage | HelperMessage): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt8(frameCodes.message);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, text]);
}

function inOctal(bytes: Buffer): string {
  return [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
}
