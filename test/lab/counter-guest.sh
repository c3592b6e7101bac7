#!/bin/sh
# The program of a simulated guest, see the knob guestProgram: NAME BOOT DISK... It has a network of its own over the node's
# network card, with the address that /etc/hosts has for its name, which therefore answers as long as the guest lives; and
# it is one process, which ends up counting. ADDRESS and PORT of who hears the numbers are in /root/counter-guest.to.
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ "$1" != inside ]; then
  exec >>/var/log/counter-guest.log 2>&1
  modprobe macvlan
  exec unshare --net -- "$0" inside "$@"
fi
shift
address=$(awk -v name="$1" '$2 == name { print $1; exit }' /etc/hosts)
mac=$(echo "$address" | awk -F. '{ printf "02:00:%02x:%02x:%02x:%02x", $1, $2, $3, $4 }')
nsenter --net=/proc/1/ns/net -- ip link add link vec0 name guest0 netns $$ address "$mac" type macvlan mode bridge
ip link set lo up
ip address add "$address/24" dev guest0
ip link set guest0 up
read -r to </root/counter-guest.to
# The words of `to` are two arguments.
exec node /root/counter-guest.cjs $to "$@"
