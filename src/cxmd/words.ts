/** The words that cxmd takes on its command line: none but those that every program knows. */
declare const __CXM_VERSION__: string | undefined;

export const version = typeof __CXM_VERSION__ === 'string' ? __CXM_VERSION__ : 'development';

const help = `cxmd: keeps a cluster of Xen servers together; see cxmd(8)

It runs in the foreground, as systemd wants it, and is configured in /etc/xen/cxm.conf.
cxmd_ctl talks to it. SIGHUP: read cxm.conf and the key again. SIGTERM: leave the cluster and end.
`;

export function handleWords(words: readonly string[], run: () => void): void {
  const [word] = words;
  if (word === undefined) return run();
  if (word === '--version') process.stdout.write(`cxmd ${version}\n`);
  else if (word === '--help' || word === '-h') process.stdout.write(help);
  else {
    process.stderr.write(`cxmd: takes no arguments but --help and --version\n`);
    process.exitCode = 3;
  }
}
