#!/bin/sh
# Starts and stops OpenNebula's own monitoring client for Xen hosts (5.12 and later). The client is the same for every
# hypervisor and comes with OpenNebula in im/kvm.d; it is started there, because it looks for its other half in the
# working directory, and takes the name of the probes' directory from our first argument.
# Before 5.12 every executable here is run as a probe; then there is nothing to do.
im=$(cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
if [ -x "$im/kvm.d/monitord-client_control.sh" ]; then
    cd -- "$im/kvm.d" && exec ./monitord-client_control.sh "$@"
    exit 1
fi
if [ -e "$im/run_monitord_client" ]; then
    echo "OpenNebula's monitoring client $im/kvm.d/monitord-client_control.sh is missing: put im/kvm.d of your OpenNebula back into the remotes directory and run onehost sync -f" >&2
    exit 1
fi
