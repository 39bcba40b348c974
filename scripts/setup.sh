#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs and starts what `make run` and `make test` need, where it is missing
# and can be installed (Debian, as root), and says so. Elsewhere it says what is
# missing and goes on: tests that need it are skipped with their reason, and
# fail in CI.
set -u
what=${1:-run}
say() { echo "setup: $*"; }

command -v go >/dev/null || { say "Go is needed (the version in go.mod)"; exit 1; }

packages=""
need() { command -v "$1" >/dev/null || [ -e "$1" ] || packages="$packages $2"; }
need dockerd docker.io
if [ "$what" = test ]; then
  need /bin/busybox busybox-static
  need ip iproute2
  need unshare util-linux
  need promtool prometheus
  need rsyslogd rsyslog # where logs are sent to,
  need "$(echo /usr/lib/*/rsyslog/lmnsd_gtls.so)" rsyslog-gnutls # also over TLS
  need influxd influxdb # and metrics
  need chromium-headless-shell chromium-headless-shell # half the work of chromium, which will do
  need podman podman
  need strace strace
  need openssl openssl
  need dbus-daemon dbus-daemon # the host's, which tests have of their own
  need /lib/systemd/systemd-journald systemd
  need /lib/systemd/systemd-journal-remote systemd-journal-remote # makes journals of all sorts
  need mmdebstrap mmdebstrap # images of real servers, from packages
  need gcc gcc # the race detector is C
  need /usr/include/stdlib.h libc6-dev
fi
if [ -n "$packages" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing$packages"
    apt-get update -qq >/tmp/tallyman-setup.log 2>&1
    case "$packages " in *" chromium-headless-shell "*)
      if ! apt-cache show chromium-headless-shell >/dev/null 2>&1; then
        packages=${packages/ chromium-headless-shell/}
        need chromium chromium
      fi ;;
    esac
    { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iptables $packages; } >>/tmp/tallyman-setup.log 2>&1 \
      || { say "apt-get failed:"; tail -5 /tmp/tallyman-setup.log; }
    # Of the package prometheus only promtool is wanted, and of the others no service.
    for unit in prometheus rsyslog influxdb; do
      case "$packages " in *" $unit "*) systemctl disable --now "$unit" >/dev/null 2>&1 ;; esac
    done
  else
    say "missing, and not installed because this is not Debian or not root:$packages"
  fi
fi

answers() { docker version >/dev/null 2>&1; }
# An engine that $DOCKER_HOST names is not ours to start.
if [ -z "${DOCKER_HOST:-}" ] && command -v dockerd >/dev/null && ! answers; then
  for _ in 1 2 3 4 5 6; do sleep 0.5; answers && break; done # it may be starting
fi
if [ -z "${DOCKER_HOST:-}" ] && [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null && ! answers; then
  say "starting dockerd (log: /tmp/tallyman-dockerd.log)"
  pid=$(cat /var/run/docker.pid 2>/dev/null)
  # A daemon that was killed leaves its pid file behind.
  if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != dockerd ]; then rm -f /var/run/docker.pid; fi
  setsid nohup dockerd >/tmp/tallyman-dockerd.log 2>&1 </dev/null &
  for _ in $(seq 60); do sleep 0.5; answers && break; done
  answers || { say "dockerd does not answer:"; tail -5 /tmp/tallyman-dockerd.log; }
fi
answers || say "no Docker engine answers; tallyman runs all the same and takes it up when it comes"
exit 0
