#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds or installs the programs that do what tallyman does, and measures them
# all over the same containers: see test/bench/peers_test.go. The result is
# docs/benchmarks.md.
set -eu
cd "$(dirname "$0")/.."
telegraf=v1.37.2
out=$PWD/bin/peers
mkdir -p "$out"
go build -C test/bench/peers/cadvisor -o "$out/cadvisor" .
# Only the input that is compared; the full program takes an hour to build.
[ -x "$out/telegraf" ] || GOBIN=$out GOFLAGS=-mod=mod go install \
  -tags custom,inputs.docker,outputs.file,serializers.influx \
  -ldflags "-X github.com/influxdata/telegraf/internal.Version=${telegraf#v}" \
  "github.com/influxdata/telegraf/cmd/telegraf@$telegraf"
command -v netdata >/dev/null || {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # The package starts a service at once; a policy forbids it for the moment.
    policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; trap 'rm -f $policy' EXIT; }
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends netdata-core
  else
    echo "bench-peers: netdata is not installed and is left out"
  fi
}
BENCH_PEERS=$out TEST_TALLYMAN_BINARY=$PWD/bin/tallyman \
  go test -run '^$' -bench Peers -benchtime 1x -timeout 60m -v ./test/bench
