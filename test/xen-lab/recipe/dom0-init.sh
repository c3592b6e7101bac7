#!/bin/bash
# The first process of a dom0: what systemd would start, and no more, because each program costs ten times its price on
# an emulated processor. From the kernel's command line: NODE_NAME, NODE_ADDRESS, NODE_GATEWAY, and FAST_HOTPLUG=yes for
# the replacements of Xen's hotplug scripts (block-fast, vif-fast).
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb DM_DISABLE_UDEV=1
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock/lvm /run/sshd /run/lvm /run/xen /run/xenstored /run/sudo
# Without udev nobody else makes them, and Xen's locking script reads /dev/stdin.
ln -sfn /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -sfn "/proc/self/fd/${n%%:*}" "/dev/${n#*:}"; done
echo "$NODE_NAME" >/proc/sys/kernel/hostname
if [ "${FAST_HOTPLUG:-}" = yes ]; then
  mount --bind /etc/lab/block-fast /etc/xen/scripts/block
  mount --bind /etc/lab/vif-fast /etc/xen/scripts/vif-bridge
fi
modprobe -a virtio_net bridge dm-mod dm-snapshot loop isofs 9p 9pnet_virtio \
  xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xen-blkback xen-netback
mount -t xenfs xenfs /proc/xen
ip link set lo up
tries=0
until [ -e /sys/class/net/eth0 ] || [ $tries -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
ip link add xenbr0 type bridge
ip link set eth0 up master xenbr0
ip address add "$NODE_ADDRESS/24" dev xenbr0
ip link set xenbr0 up
ip route add default via "$NODE_GATEWAY"
/usr/sbin/sshd -f /etc/lab/sshd_config -E /var/log/sshd.log
programs=/usr/lib/xen-4.17/bin
"$programs/oxenstored" --pid-file /run/xenstored.pid
tries=0
until xenstore-read -s / >/dev/null 2>&1 || [ $tries -ge 100 ]; do tries=$((tries + 1)); sleep 0.1; done
"$programs/xen-init-dom0"
mkdir -p /var/log/xen/console
"$programs/xenconsoled" --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/var/log/xen/console
echo "READY $NODE_NAME $(cut -d' ' -f1 /proc/uptime)"
trap : CHLD
while :; do
  sleep 3600 &
  wait $!
done
