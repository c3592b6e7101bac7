#!/bin/sh
# First program of a dom0's initramfs (busybox): loads what the root disk needs and hands over to it.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do insmod "/modules/$module" 2>/dev/null; done
tries=0
until [ -b /dev/vda ] || [ $tries -ge 100 ]; do tries=$((tries + 1)); sleep 0.1; done
mount -t ext4 -o noatime /dev/vda /root || exec sh
for directory in dev proc sys; do mount --move "/$directory" "/root/$directory"; done
exec switch_root /root /etc/lab/init
