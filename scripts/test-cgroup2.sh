#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests of numbers and of a container's life on cgroup v2, in a virtual
# machine under software emulation: once with Docker's cgroupfs driver under a
# bare init, once with the systemd driver under systemd. Needs root, Debian's
# qemu-system-x86, mmdebstrap and e2fsprogs; downloads Debian packages once.
#
#   scripts/test-cgroup2.sh [cgroupfs|systemd]   (both without an argument)
set -eu
cd "$(dirname "$0")/.."
work=${WORK:-/tmp/tallyman-cgroup2}
tests='TestCPUOfAContainer|TestMemoryOfAContainer|TestNetworkBytes|TestEveryTurn|TestHost|TestBlockIO|TestFileSystems|TestMachine|TestEveryRow|TestPressure|TestLimitsBeside|TestSharedMemory'
missing=""
for c in qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap mke2fs:e2fsprogs; do
  command -v "${c%%:*}" >/dev/null || missing="$missing ${c##*:}"
done
if [ -n "$missing" ]; then
  echo "installing$missing"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
mkdir -p "$work"

if [ ! -e "$work/disk.img" ]; then
  rm -rf "$work/root"
  mmdebstrap --quiet --variant=apt \
    --include=linux-image-cloud-amd64,docker.io,iproute2,iptables,ca-certificates,procps,busybox-static,kmod,udev,systemd-sysv,dbus,apparmor \
    bookworm "$work/root"
  cat >"$work/root/sbin/vminit" <<'EOF'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
for d in /run /tmp; do mount -t tmpfs tmpfs $d; done
mkdir -p /dev/shm; mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/init
while read p; do echo $p >/sys/fs/cgroup/init/cgroup.procs; done </sys/fs/cgroup/cgroup.procs 2>/dev/null
for c in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$c >/sys/fs/cgroup/cgroup.subtree_control; done
ip link set lo up
for m in overlay bridge br_netfilter veth; do modprobe $m; done
dockerd >/tmp/dockerd.log 2>&1 &
/sbin/vmjob
EOF
  cat >"$work/root/sbin/vmjob" <<'EOF'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
exec >/dev/ttyS0 2>&1
i=0; while ! docker version >/dev/null 2>&1; do i=$((i+1)); [ $i -gt 120 ] && { echo "JOB-RC no dockerd"; tail -5 /tmp/dockerd.log; break; }; sleep 1; done
[ -e /swap ] || { fallocate -l 256M /swap && chmod 600 /swap && mkswap -q /swap; }; swapon /swap
mkdir -p /job; mount -o ro /dev/vdb /job
docker info 2>/dev/null | grep -i cgroup
sh /job/job.sh; echo "JOB-RC $?"
sync; echo o >/proc/sysrq-trigger; sleep 30
EOF
  chmod +x "$work/root/sbin/vminit" "$work/root/sbin/vmjob"
  cat >"$work/root/etc/systemd/system/vmjob.service" <<'EOF'
[Unit]
After=docker.service
Wants=docker.service
[Service]
Type=simple
ExecStart=/sbin/vmjob
[Install]
WantedBy=multi-user.target
EOF
  ln -sf ../vmjob.service "$work/root/etc/systemd/system/multi-user.target.wants/vmjob.service"
  cp "$work"/root/boot/vmlinuz-* "$work/vmlinuz"
  cp "$work"/root/boot/initrd.img-* "$work/initrd.img"
  mke2fs -q -t ext4 -d "$work/root" "$work/disk.img" 3G
  rm -rf "$work/root"
fi

rm -rf "$work/job"
mkdir "$work/job"
export CGO_ENABLED=0
go build -trimpath -ldflags '-s -w' -o "$work/job/tallyman" ./cmd/tallyman
go test -trimpath -c -o "$work/job/integration.test" ./test/integration
cat >"$work/job/job.sh" <<EOF
export CI=true TEST_SLOW=6 TEST_TALLYMAN_BINARY=/job/tallyman
cd /tmp && /job/integration.test -test.v -test.timeout 25m -test.run '$tests'
EOF

failed=0
for driver in ${1:-cgroupfs systemd}; do
  case $driver in
  cgroupfs) init="init=/sbin/vminit" ;;
  systemd) init="systemd.show_status=false" ;;
  *) echo "no such driver: $driver"; exit 2 ;;
  esac
  rm -f "$work/job.img"
  mke2fs -q -t ext4 -d "$work/job" "$work/job.img" 160M
  cp --sparse=always "$work/disk.img" "$work/run.img"
  log="$work/$driver.log"
  timeout 1800 nice qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 1 -m 1536 -nographic -no-reboot -nic none \
    -kernel "$work/vmlinuz" -initrd "$work/initrd.img" \
    -append "root=/dev/vda rw console=ttyS0 $init panic=-1 quiet net.ifnames=0 swapaccount=1" \
    -drive "file=$work/run.img,if=virtio,format=raw,cache=unsafe" \
    -drive "file=$work/job.img,if=virtio,format=raw,readonly=on" >"$log" 2>&1 </dev/null || true
  rm -f "$work/run.img"
  echo "== $driver driver"
  grep -aE 'Cgroup|^ *(---|===|ok|PASS|FAIL)|_test.go|JOB-RC' "$log" || true
  grep -aq 'JOB-RC 0' "$log" || { failed=1; tail -20 "$log"; }
done
exit $failed
