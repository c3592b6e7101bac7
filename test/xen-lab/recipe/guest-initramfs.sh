#!/bin/sh
# First program of a guest's initramfs (busybox): the guest lives on its disk, so nothing but that is mounted here.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do insmod "/modules/$module" 2>/dev/null; done
root=/dev/xvda
for word in $(cat /proc/cmdline); do case $word in root=*) root=${word#root=} ;; esac; done
tries=0
until [ -b "$root" ] || [ $tries -ge 600 ]; do tries=$((tries + 1)); sleep 0.1; done
mount -t ext4 -o rw,noatime "$root" /root || { echo "initramfs: no file system on $root"; poweroff -f; }
for directory in dev proc sys; do mount --move "/$directory" "/root/$directory"; done
exec switch_root /root /sbin/init
