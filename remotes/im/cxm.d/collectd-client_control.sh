#!/bin/sh
# Starts and stops OpenNebula's own monitoring client for Xen hosts (4.x to 5.10). It comes with OpenNebula in im/kvm.d,
# is started there and runs im/cxm-probes.d, whose name it makes of our first argument. Other versions have no such
# client and run this file as one of many; then there is nothing to do.
im=$(cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
[ -e "$im/run_monitord_client" ] && exit 0
[ -x "$im/kvm.d/collectd-client_control.sh" ] || exit 0
cd -- "$im/kvm.d" && exec ./collectd-client_control.sh "$@"
