/**
 * The ssh library without its native parts, which a bundle can't carry: a faster cipher and the question which one this
 * processor likes. The library asks for both in a `try` and does without, on Node's own cryptography.
 */
import type { Plugin } from 'esbuild';

export const plainSsh2: Plugin = {
  name: 'plain-ssh2',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^cpu-features$|sshcrypto\.node$/ }, ({ path }) => ({ path, namespace: 'left-out' }));
    onLoad({ filter: /^/, namespace: 'left-out' }, ({ path }) => ({
      contents: `throw new Error(${JSON.stringify(`${path} is not in this bundle`)});`,
    }));
  },
};
