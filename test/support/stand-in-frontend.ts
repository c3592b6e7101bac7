/**
 * A stand-in for an OpenNebula frontend and other hosts behind ssh: executables `ssh`, `sudo` (for cxm-host), `runuser`,
 * `onevm`, `onehost`, `logger` and `xl` in a directory of their own, that keep the state of VMs in files, answer with
 * documents and errors as the real commands do, and write down how they were called.
 */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface StandInVm {
  readonly state: number;
  readonly lcmState: number;
  /** Oldest first. */
  readonly hosts: readonly string[];
}

/** `no ssh`, `no helper` and `hangs`: it says nothing; `error`: it can't look; `gibberish`: an answer of another kind. */
export type Sight = 'running' | 'present' | 'absent' | 'error' | 'gibberish' | 'hangs' | 'no ssh' | 'no helper';

export interface StandInFrontend {
  readonly directory: string;
  /** PATH with the stand-ins before everything else. */
  readonly path: string;
  setVersion(line: string): void;
  setVm(id: number, vm: StandInVm): void;
  vm(id: number): StandInVm;
  setHosts(names: readonly string[]): void;
  /** Shell text that runs on migrate and livemigrate with `$id`, `$to` and the VM's `$state $lcm $hosts`. */
  onMigrate(script: string): void;
  /** What cxm-host of a host says about any VM; it says `absent` until told otherwise. */
  setSight(host: string, sight: Sight): void;
  /** What cxm-host was asked, as JSON. */
  requests(): string[];
  /** ssh to the frontend fails; or oned does not answer; or all is well. */
  setReachable(what: 'yes' | 'no ssh' | 'no oned'): void;
  /** Names of domains that run on this machine. */
  setDomains(names: readonly string[]): void;
  /** Calls of onevm, without `show` and `--version`. */
  orders(): string[];
  /** All calls, with the program's name. */
  calls(): string[];
  syslog(): string[];
  remove(): void;
}

const scripts: Readonly<Record<string, string>> = {
  runuser: `echo "runuser $*" >> "$S/calls"
while [ "$1" != -- ]; do shift; done; shift
exec "$@"`,
  ssh: `echo "ssh $*" >> "$S/calls"
while [ "$1" != -- ]; do shift; done
export STAND_IN_HOST="$2"
shift 2
if [ $STAND_IN_HOST = front -a -e "$S/no ssh" ] || [ "$(cat "$S/sight-$STAND_IN_HOST" 2>&1)" = 'no ssh' ]; then
  echo "ssh: connect to host $STAND_IN_HOST port 22: Connection refused" >&2; exit 255
fi
exec sh -c "$*"`,
  // The answer fits the pipe, so it need not wait for the question; the caller's end ends this.
  sudo: `echo "sudo $*" >> "$S/calls"
[ "$*" = '-n /usr/local/sbin/cxm-host' ] || { echo 'sudo: a password is required' >&2; exit 1; }
result() { printf '{"kind":"result","value":{"running":%s,"present":%s}}' "$1" "$2"; }
case "$(cat "$S/sight-\${STAND_IN_HOST:-host01}" 2>&1)" in
  'no helper') echo 'sudo: /usr/local/sbin/cxm-host: command not found' >&2; exit 1 ;;
  hangs) exec sleep 20 ;;
  running) message=$(result true true) ;;
  present) message=$(result false true) ;;
  error) message='{"kind":"error","code":"XEN","message":"xl list did not end","hint":"look","changed":"nothing"}' ;;
  gibberish) message='{"kind":"result","value":null}' ;;
  *) message=$(result false false) ;;
esac
printf 'J\\000\\000\\000'; printf "\\\\$(printf %03o "\${#message}")"; printf %s "$message"
tail -c +6 >> "$S/requests"; echo >> "$S/requests"`,
  onehost: `echo "onehost $*" >> "$S/calls"
if [ -e "$S/no oned" ]; then echo 'Connection refused - connect(2)'; exit 255; fi
echo '<HOST_POOL>'; n=0
for host in $(cat "$S/hosts"); do
  echo "<HOST><ID>$n</ID><NAME>$host</NAME><STATE>2</STATE></HOST>"; n=$((n + 1))
done
echo '</HOST_POOL>'`,
  onevm: `echo "onevm $*" >> "$S/calls"
if [ "$1" = --version ]; then cat "$S/version"; exit 0; fi
if [ -e "$S/no oned" ]; then echo 'Connection refused - connect(2) for "localhost" port 2633'; exit 255; fi
new=$(grep -c 'OpenNebula [4-9]' "$S/version")
order=$1; shift
case "$order$1" in
  show-x) id=$2 ;;
  migrate--live) [ "$new" = 1 ] || { echo "invalid option: --live"; exit 1; }; id=$2 to=$3 ;;
  recover--success) [ "$new" = 1 ] || { echo "Command recover does not exist"; exit 1; }; id=$2 ;;
  *) id=$1 to=$2 ;;
esac
if ! [ -e "$S/vm-$id" ]; then echo "[VirtualMachineInfo] Error getting virtual machine [$id]."; exit 255; fi
. "$S/vm-$id"
case "$order" in
  show)
    echo "<VM><ID>$id</ID><NAME>x</NAME><STATE>$state</STATE><LCM_STATE>$lcm</LCM_STATE><TEMPLATE/><HISTORY_RECORDS>"
    n=0
    for host in $hosts; do echo "<HISTORY><SEQ>$n</SEQ><HOSTNAME>$host</HOSTNAME></HISTORY>"; n=$((n + 1)); done
    echo '</HISTORY_RECORDS></VM>'
    exit 0 ;;
  livemigrate) [ "$new" = 0 ] || { echo "Command livemigrate does not exist"; exit 1; }; . "$S/on-migrate" ;;
  migrate) . "$S/on-migrate" ;;
  recover) [ "$state$lcm" = 34 ] || { echo '[VirtualMachineRecover] Wrong state to perform action'; exit 255; }; lcm=3 ;;
  *) echo "Command $order does not exist"; exit 1 ;;
esac
echo "state=$state lcm=$lcm hosts='$hosts'" > "$S/vm-$id"`,
  logger: `shift 3; echo "$*" >> "$S/syslog"`,
  xl: `echo "xl $*" >> "$S/calls"
if grep -qx -- "$2" "$S/domains"; then echo 5; else echo "$2 is an invalid domain identifier (rc=-6)" >&2; exit 1; fi`,
};

/** Where a running VM goes at once, as when everything works. */
const promptMigration = `hosts="$hosts $to"`;

export function createStandInFrontend(): StandInFrontend {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-stand-in-'));
  const programs = join(directory, 'bin');
  mkdirSync(programs);
  for (const [name, body] of Object.entries(scripts)) {
    writeFileSync(join(programs, name), `#!/bin/sh\nS='${directory}'\n${body}\n`);
    chmodSync(join(programs, name), 0o755);
  }
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  const lines = (name: string): string[] => readFileSync(join(directory, name), 'utf8').split('\n').slice(0, -1);
  for (const name of ['calls', 'syslog', 'domains', 'requests']) write(name, '');
  write('version', 'OpenNebula 7.4.0\n');
  write('on-migrate', promptMigration);
  write('hosts', 'host01 host02 host03');
  return {
    directory,
    path: `${programs}:${process.env['PATH'] ?? ''}`,
    setVersion: (line) => write('version', `${line}\nCopyright 2002-2026\n`),
    setVm: (id, { state, lcmState, hosts }) =>
      write(`vm-${id}`, `state=${state} lcm=${lcmState} hosts='${hosts.join(' ')}'\n`),
    vm: (id) => {
      const [, state, lcm, hosts = ''] = /^state=(\d+) lcm=(\d+) hosts='(.*)'$/.exec(lines(`vm-${id}`)[0] ?? '') ?? [];
      return { state: Number(state), lcmState: Number(lcm), hosts: hosts.split(' ') };
    },
    setHosts: (names) => write('hosts', names.join(' ')),
    onMigrate: (script) => write('on-migrate', script),
    setSight: (host, sight) => write(`sight-${host}`, sight),
    requests: () => lines('requests'),
    setReachable: (what) => {
      for (const name of ['no ssh', 'no oned']) if (existsSync(join(directory, name))) rmSync(join(directory, name));
      if (what !== 'yes') appendFileSync(join(directory, what), '');
    },
    setDomains: (names) => write('domains', names.map((name) => `${name}\n`).join('')),
    orders: () => lines('calls').filter((line) => /^onevm (?!show|--version)/.test(line)),
    calls: () => lines('calls'),
    syslog: () => lines('syslog'),
    remove: () => rmSync(directory, { recursive: true }),
  };
}
