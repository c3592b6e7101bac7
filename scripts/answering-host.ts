/** Stands for ssh and everything behind it: whatever an action asks of the host, it was done at once. */
import { frameCodes, type HelperMessage } from '../src/agent/protocol.ts';

const answer: HelperMessage = { kind: 'result', value: null };
const answerText = JSON.stringify(answer);
const octal = (byte: number): string => `\\${byte.toString(8).padStart(3, '0')}`;
const answerHead = [frameCodes.message, 0, 0, 0, answerText.length].map(octal).join('');

/** A shell script to be found as `ssh`. */
export const answeringHost = `#!/bin/sh\nprintf '${answerHead}${answerText}'\nwhile read -r line; do :; done\n`;

/** Arguments with which tm/cxm/mkswap asks the host once. */
export const oneRequest: readonly string[] = ['16', 'host:/var/lib/one/datastores/0/7/disk.1', '7', '0'];
