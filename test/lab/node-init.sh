#!/bin/bash
# The first process of a node. The kernel has mounted a read-only view of the prepared root (hostfs); files of hostfs
# would belong to whoever runs the kernel, so the node gets an overlay of it whose upper layer is a disk of its own:
# owners, direct I/O and synced data are those of a real machine, also after a crash.
# From the kernel's command line: NODE_NAME NODE_ADDRESS NODE_GATEWAY SHARED_DATASTORE (a directory or empty) LAB.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb DM_DISABLE_UDEV=1
if [ "${1:-}" != second ]; then
  mount -t proc proc /proc
  modprobe overlay
  mount -t ext4 /dev/ubdb /mnt
  mkdir -p /mnt/upper /mnt/work
  mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /srv
  mount -t devtmpfs devtmpfs /srv/dev
  mkdir -p /srv/mnt
  cd /srv
  pivot_root . mnt
  exec chroot . /etc/lab/init second </dev/console >/dev/console 2>&1
fi
mount -t proc proc /proc
umount -l /mnt
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
ln -sfn /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -sfn /proc/self/fd/${n%%:*} /dev/${n#*:}; done
mkdir -p /run/sshd /run/lock/lvm /run/lvm /run/sudo
modprobe -a dm-mod dm-snapshot loop
echo "$NODE_NAME" >/proc/sys/kernel/hostname
ip link set lo up
ip address add "$NODE_ADDRESS/24" dev vec0
ip link set vec0 up
ip route add default via "$NODE_GATEWAY"
if [ -n "$SHARED_DATASTORE" ]; then mount -t hostfs -o "$SHARED_DATASTORE" none /var/lib/one/datastores/0; fi
if [ -n "${CREATE_VOLUME_GROUP:-}" ]; then
  pvcreate -qq -y /dev/ubda && vgcreate -qq "$CREATE_VOLUME_GROUP" /dev/ubda
fi
/usr/sbin/sshd -f /etc/lab/sshd_config -E /var/log/sshd.log
echo "READY $NODE_NAME $(cut -d' ' -f1 /proc/uptime)"
trap : CHLD
while :; do
  sleep 3600 &
  wait $!
done
