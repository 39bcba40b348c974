// SPDX-License-Identifier: Apache-2.0

// Command cadvisor is cAdvisor's own manager and collectors behind /metrics, as
// its own program sets them up, for `make bench-peers`. The program itself
// cannot be installed from the module proxy.
package main

import (
	"flag"
	"log"
	"net/http"
	"time"

	// What the original registers: the engine, and the file systems of images.
	_ "github.com/google/cadvisor/container/docker/install"
	_ "github.com/google/cadvisor/lib/fs/btrfs/install"
	_ "github.com/google/cadvisor/lib/fs/nfs/install"
	_ "github.com/google/cadvisor/lib/fs/overlay/install"
	_ "github.com/google/cadvisor/lib/fs/tmpfs/install"
	_ "github.com/google/cadvisor/lib/fs/vfs/install"

	"github.com/google/cadvisor/lib/cache/memory"
	"github.com/google/cadvisor/lib/container"
	"github.com/google/cadvisor/lib/manager"
	"github.com/google/cadvisor/lib/metrics"
	"github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

// standard is what cAdvisor leaves out if nothing is said (docs/runtime_options.md).
const standard = "advtcp,cpu_topology,cpuset,hugetlb,memory_numa,process,referenced_memory,resctrl,sched,tcp,udp"

func main() {
	listen := flag.String("listen", "127.0.0.1:8088", "`address` of /metrics")
	disable := flag.String("disable_metrics", standard, "kinds of metrics to leave out")
	labels := flag.Bool("store_container_labels", true, "make labels of containers labels of series")
	flag.Parse() // the manager and the engine register theirs: housekeeping_interval, docker_only and more
	var off container.MetricSet
	if err := off.Set(*disable); err != nil {
		log.Fatal(err)
	}
	on := container.AllMetrics.Difference(off)
	m, err := manager.New(memory.New(2*time.Minute, nil), sysfs.NewRealSysFs(), manager.HousekeepingConfigFlags, on, []string{""}, []string{""}, "", 0) // every cgroup, as an empty flag is
	if err != nil {
		log.Fatal(err)
	}
	if err := m.Start(); err != nil {
		log.Fatal(err)
	}
	base := metrics.DefaultContainerLabels
	if !*labels {
		base = metrics.BaseContainerLabels(nil)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(
		metrics.NewPrometheusCollector(m, base, on, clock.RealClock{}, model.RequestOptions{IdType: model.TypeName, Count: 1, Recursive: true}),
		metrics.NewPrometheusMachineCollector(m, on),
	)
	http.Handle("/metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	log.Fatal(http.ListenAndServe(*listen, nil))
}
