/** What is said of a host whose key is not the one we know, and how it is mended: never by just going on. */
import { CxmError } from '../errors.ts';
import { knownHostName, type HostKeyVerdict } from './known-hosts.ts';
import type { SshSettings } from './ssh-settings.ts';

export function hostKeyError(
  { node, hostName, port, hostKeyAlias }: SshSettings,
  type: string,
  verdict: Exclude<HostKeyVerdict, { kind: 'known' }>,
): CxmError {
  const name = hostKeyAlias ?? knownHostName(hostName, port);
  const who = name === node ? node : `${node} (${name})`;
  const scan = `ssh-keyscan ${port === 22 ? '' : `-p ${port} `}${hostName}`;
  switch (verdict.kind) {
    case 'revoked':
      return new CxmError('HOST_KEY', `the ${type} key of ${who} is revoked in ${verdict.origin}`, {
        hint: 'the host must get a new key; somebody else may have this one',
      });
    case 'changed':
      return new CxmError('HOST_KEY', `the ${type} key of ${who} is not the one in ${verdict.origin}`, {
        hint: `if the host was installed anew, remove the old key with \`ssh-keygen -R '${name}'\` and add the output of \`${scan}\`; if not, somebody stands between`,
      });
    case 'unknown': {
      const others = verdict.otherTypes.length > 0 ? `; it is known by ${verdict.otherTypes.join(', ')} only` : '';
      const authority =
        verdict.authority === undefined
          ? ''
          : `; ${verdict.authority} names a certificate authority, but cxm checks no host certificates`;
      return new CxmError('HOST_KEY', `the ${type} key of ${who} is not in known_hosts${others}${authority}`, {
        hint: `compare it with the host's own and add it: \`${scan} >> /etc/ssh/ssh_known_hosts\``,
      });
    }
  }
}
