/**
 * The programs that a sandbox puts in front of the real ones, as shell scripts: small, so that a call costs little, and
 * to be read by whoever wonders. They stand in for machines (ssh), rights (sudo), the log (logger) and OpenNebula's own
 * commands; everything else that runs is the real thing. All of them know the sandbox by CXM_SANDBOX.
 */
import { frontendName, nodeKinds } from './layout.ts';

const head = `#!/bin/sh
# A stand-in of the cxm sandbox; see src/sandbox/stand-ins.ts.
`;

/**
 * Runs the command here as the named machine: its home, its programs, its /dev and its Xen. The remote command is given
 * to a shell, as sshd does.
 */
const ssh = `${head}while [ $# -gt 0 ]; do
  case $1 in
    -o | -l | -p | -i | -F) shift 2 ;;
    --) shift && break ;;
    -*) shift ;;
    *) break ;;
  esac
done
host=\${1#*@}
shift
case $host in
  ${frontendName})
    home=$CXM_SANDBOX/var/lib/one programs=$CXM_SANDBOX/programs/frontend xen='' devices='' ;;
  ${nodeKinds.map(({ name }) => name).join(' | ')})
    home=$CXM_SANDBOX/nodes/$host/home programs=$CXM_SANDBOX/programs/node
    xen=$CXM_SANDBOX/nodes/$host/xen devices=$CXM_SANDBOX/nodes/$host/dev ;;
  *)
    echo "ssh: Could not resolve hostname $host: Name or service not known" >&2
    exit 255 ;;
esac
if [ -e "$CXM_SANDBOX/nodes/$host/down" ]; then
  echo "ssh: connect to host $host port 22: No route to host" >&2
  exit 255
fi
cd "$home" || exit 255
[ $# -gt 0 ] || set -- "PS1='sandbox:$host \\w \\$ ' exec bash --norc --noprofile -i"
exec env -i HOME="$home" USER=oneadmin LOGNAME=oneadmin LANG=C.UTF-8 PATH="$programs:$CXM_SANDBOX_PATH" \\
  CXM_SANDBOX="$CXM_SANDBOX" CXM_SANDBOX_PATH="$CXM_SANDBOX_PATH" CXM_SANDBOX_MOUNTS="$CXM_SANDBOX_MOUNTS" \\
  CXM_SANDBOX_NODE="$host" XL_SIMULATED_STATE="$xen" XL_SIMULATED_DEVICES="$devices" \\
  CXM_CONFIGURATION="$CXM_SANDBOX/nodes/$host/etc/cxm/cxmrc" TMPDIR="$CXM_SANDBOX/tmp" sh -c "$*"
`;

/** Allows what the sudoers file of the drivers allows, and nothing else. */
const sudo = `${head}if [ "$*" != '-n /usr/local/sbin/cxm-host' ]; then
  echo "sudo: a password is required" >&2
  exit 1
fi
exec node "$CXM_SANDBOX/programs/library/cxm-host"
`;

/** \`runuser -u USER -- COMMAND\`: there is only one user here. */
const runuser = `${head}while [ "$1" != -- ]; do shift; done
shift
exec "$@"
`;

const logger = `${head}tag=
while [ $# -gt 0 ]; do
  case $1 in
    -t) tag=$2 && shift 2 ;;
    --) shift && break ;;
    -*) shift ;;
    *) break ;;
  esac
done
log=$CXM_SANDBOX/nodes/$CXM_SANDBOX_NODE/var/log/syslog
if [ $# -gt 0 ]; then
  echo "$tag: $*" >>"$log"
else
  while IFS= read -r line; do echo "$tag: $line"; done >>"$log"
fi
`;

/** Whoever answers a ping has a file in the directory \`network\`. */
const ping = `${head}for host; do :; done
[ -e "$CXM_SANDBOX/network/$host" ]
`;

/** \`sshd -T\`: what the documentation of cxm asks for. */
const sshd = `${head}printf '%s\\n' 'clientaliveinterval 5' 'clientalivecountmax 3'
`;

/** On a node it is called there, on the frontend as if on node1. */
const cxm = `${head}exec node "$CXM_SANDBOX/programs/library/cxm" "$@"
`;

/** Documents are files; everything else is left to the stand-in for oned itself. */
const onevm = `${head}if [ "$1 $2" = 'show -x' ]; then
  cat "$CXM_SANDBOX/oned/vm-$3.xml" 2>/dev/null && exit 0
  echo "[one.vm.info] Error getting virtual machine [$3]." >&2
  exit 255
fi
exec node "$CXM_SANDBOX/programs/library/tour.cjs" onevm "$@"
`;

const oneimage = `${head}if [ "$1 $2" = 'show -x' ]; then
  cat "$CXM_SANDBOX/oned/image-$3.xml" 2>/dev/null && exit 0
  echo "[one.image.info] Error getting image [$3]." >&2
  exit 255
fi
exec node "$CXM_SANDBOX/programs/library/tour.cjs" oneimage "$@"
`;

const onehost = `${head}case "$1 $2" in
  'show -x') cat "$CXM_SANDBOX/oned/host-$3.xml" 2>/dev/null && exit 0 ;;
  'list -x') exec cat "$CXM_SANDBOX/oned/hosts.xml" ;;
  'list '*) exec node "$CXM_SANDBOX/programs/library/tour.cjs" onehost list ;;
esac
echo "[one.host.info] Error getting host [$3]." >&2
exit 255
`;

/** Scripts of the frontend by name. */
export const frontendStandIns: Readonly<Record<string, string>> = { ssh, onevm, oneimage, onehost, cxm };

/** Scripts of the nodes by name; xl, xentop and those of LVM are programs of their own. */
export const nodeStandIns: Readonly<Record<string, string>> = { ssh, sudo, runuser, logger, ping, sshd, cxm };
