#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests of numbers and of a container's life on cgroup v2, in a virtual
# machine under software emulation: once with Docker's cgroupfs driver under a
# bare init, once with the systemd driver under systemd. Needs root, Debian's
# qemu-system-x86, mmdebstrap and e2fsprogs; downloads Debian packages once.
#
#   scripts/test-cgroup2.sh [cgroupfs|systemd|reboot]   (the first two without an argument)
#
# reboot has the machine boot three times: after a shutdown by systemd, and after its
# plug was pulled. The alarms that were told by then are counted; there is to be one,
# of the container that ends by itself before.
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

cat >"$work/job/reboot.sh" <<'EOF'
D=/var/lib/reboot
told() { grep -ao '"alertname":"[A-Za-z]*"' $D/told | sort | uniq -c | tr '\n' ' '; }
watch() { # tallyman, and who is told, for so many seconds
  mkdir -p $D/www/cgi-bin
  printf '#!/bin/sh\ncat >>%s/told\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\n' $D >$D/www/cgi-bin/hook
  chmod +x $D/www/cgi-bin/hook
  busybox httpd -p 127.0.0.1:9999 -h $D/www
  /job/tallyman run --data $D/data --set alarms.notify=http://127.0.0.1:9999/cgi-bin/hook >>$D/tallyman.log 2>&1 &
  sleep "$1"
}
boots=$(cat $D/boots 2>/dev/null || echo 0)
mkdir -p $D; touch $D/told; echo $((boots + 1)) >$D/boots
case $boots in
0)
  tar -C / -c bin/busybox | docker import - box >/dev/null
  run() { name=$1; shift; docker run -d --name $name "$@" >/dev/null; }
  run always --restart always box /bin/busybox sleep 36000
  run unless --restart unless-stopped box /bin/busybox sh -c 'trap "exit 0" TERM; while :; do sleep 1; done'
  run none box /bin/busybox sleep 36000
  watch 60
  run crashes box /bin/busybox sh -c 'sleep 5; exit 3'
  sleep 60; docker rm crashes >/dev/null; sleep 30
  echo "BOOT 1: told $(told)"
  sync; systemctl reboot; sleep 600 ;;
1)
  watch 200
  echo "BOOT 2, after a shutdown: told $(told)"; docker ps -a --format '{{.Names}}: {{.Status}}'
  sync; echo b >/proc/sysrq-trigger; sleep 600 ;;
*)
  watch 200
  echo "BOOT 3, after the plug was pulled: told $(told)"; docker ps -a --format '{{.Names}}: {{.Status}}'
  echo "boots: $(cat $D/boots)"
  [ "$(grep -ao '"alertname":"[A-Za-z]*"' $D/told | sort -u)" = '"alertname":"ContainerCrashed"' ] ;;
esac
EOF

boot() { # a log and what Linux is told
  timeout 1800 nice qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 1 -m 1536 -nographic -no-reboot -nic none \
    -kernel "$work/vmlinuz" -initrd "$work/initrd.img" \
    -append "root=/dev/vda rw console=ttyS0 $2 panic=-1 quiet net.ifnames=0 swapaccount=1" \
    -drive "file=$work/run.img,if=virtio,format=raw,cache=unsafe" \
    -drive "file=$work/job.img,if=virtio,format=raw,readonly=on" >>"$1" 2>&1 </dev/null || true
}

failed=0
for mode in ${1:-cgroupfs systemd}; do
  boots=1
  case $mode in
  cgroupfs) init="init=/sbin/vminit" ;;
  systemd) init="systemd.show_status=false" ;;
  reboot) init="systemd.show_status=false" boots=3 && cp "$work/job/reboot.sh" "$work/job/job.sh" ;;
  *) echo "no such mode: $mode"; exit 2 ;;
  esac
  rm -f "$work/job.img"
  mke2fs -q -t ext4 -d "$work/job" "$work/job.img" 256M
  cp --sparse=always "$work/disk.img" "$work/run.img"
  log="$work/$mode.log"
  : >"$log"
  for _ in $(seq $boots); do boot "$log" "$init"; done
  rm -f "$work/run.img"
  echo "== $mode"
  grep -aE 'Cgroup|^ *(---|===|ok|PASS|FAIL)|_test.go|BOOT|^[a-z]+: |JOB-RC' "$log" || true
  grep -aq 'JOB-RC 0' "$log" || { failed=1; tail -20 "$log"; }
done
exit $failed
