#!/bin/busybox sh
# The first program of a guest: puts its root together and becomes the agent.
b=/bin/busybox
fail() {
  echo "wharf-vm: cannot $*" >/dev/console
  $b poweroff -f
}
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
for module in $($b cat /modules/order); do
  $b insmod "/modules/$module" || fail "load $module"
done
$b mount -t virtiofs -o ro host /host || fail "mount this machine's files"
$b mount -t tmpfs -o mode=755 tmpfs /over || fail "mount a tmpfs"
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work overlay /root || fail "mount the root"
$b mkdir -p /root/disk
$b mount -t ext4 -o rw,discard /dev/vda /root/disk || fail "mount the disk"
$b mount -t tmpfs -o mode=755 tmpfs /root/run || fail "mount /run"
$b cp /job.json /root/run/wharf-vm.json
for place in proc sys dev; do
  $b mount --move /$place /root/$place || fail "move /$place"
done
if [ -e /manager ]; then
  units=/root/run/systemd
  $b mkdir -p $units/system $units/system-generators
  $b cp /agent.service $units/system/wharf-vm-agent.service || fail "write the agent's unit"
  # What this machine would start at its own boot is nothing to a guest, and to find it takes seconds there.
  for generator in /root/usr/lib/systemd/system-generators/*; do
    $b ln -s /dev/null "$units/system-generators/${generator##*/}"
  done
  exec $b switch_root /root "$($b cat /manager)" --unit=wharf-vm-agent.service --show-status=no || fail "become systemd"
fi
exec $b switch_root /root "$($b cat /agent)" || fail "become the agent"
