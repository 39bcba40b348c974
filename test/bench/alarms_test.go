// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"

	"tallyman"
	"tallyman/alert"
	"tallyman/alert/problem"
	"tallyman/alert/route"
	"tallyman/alert/rule"
	"tallyman/internal/testkit"
	"tallyman/pipeline"
	"tallyman/query/logql"
	samplestore "tallyman/store/metric"
	"tallyman/store/record"
)

// watched is an hour of a hundred containers and six of their host, as sources give them,
// and the logs of that hour.
type watched struct {
	samples *samplestore.Store
	logs    *logql.Engine
	end     time.Time
}

// gauge and rate are how a series goes: it stands, or grows by so much a second.
func gauge(v float64) func(s float64) float64 { return func(float64) float64 { return v } }
func rate(v float64) func(s float64) float64  { return func(s float64) float64 { return v * s } }

// containerSeries are those of a container that is well, and hostSeries of its host.
func containerSeries() map[string]func(float64) float64 {
	return map[string]func(float64) float64{
		"container_memory_usage_percent": gauge(40), "container_memory_rss": gauge(3e8), "container_memory_mapped_file": gauge(1e7), "container_spec_memory_limit_bytes": gauge(1e9),
		"container_memory_working_set_bytes": gauge(4e8), "container_memory_usage_bytes": gauge(6e8), "container_memory_cache": gauge(3e8),
		"container_pressure_memory_stalled_seconds_total": rate(0.001), "container_pressure_cpu_waiting_seconds_total": rate(0.1), "container_cpu_usage_seconds_total": rate(0.2),
		"container_cpu_cfs_throttled_periods_total": rate(0.5), "container_cpu_cfs_periods_total": rate(10), "container_cpu_cfs_throttled_seconds_total": rate(0.01),
		"container_threads": gauge(12), "container_threads_max": gauge(9000), "container_shm_free_percent": gauge(99), "container_shm_limit_bytes": gauge(6e7), "container_fs_usage_bytes": gauge(1e8),
		"container_network_receive_bytes_total": rate(1000), "container_network_transmit_bytes_total": rate(1000), "container_processes": gauge(4), "container_last_seen": rate(1),
	}
}

func hostSeries() map[string]func(float64) float64 {
	return map[string]func(float64) float64{
		"node_filesystem_avail_bytes": gauge(5e11), "node_filesystem_size_bytes": gauge(1e12), "node_filesystem_files_free": gauge(5e7), "node_filesystem_files": gauge(6e7), "node_filesystem_readonly": gauge(0),
		"node_memory_MemAvailable_bytes": gauge(2e10), "node_memory_MemTotal_bytes": gauge(6e10), "machine_memory_bytes": gauge(6e10), "node_pressure_memory_stalled_seconds_total": gauge(1),
		"node_pressure_io_stalled_seconds_total": rate(0.1), "node_pressure_cpu_waiting_seconds_total": rate(0.1), "node_filefd_allocated": gauge(9000), "node_filefd_maximum": gauge(1e9),
		"node_timex_sync_status": gauge(1), "node_timex_maxerror_seconds": gauge(0.1), "node_vmstat_oom_kill": gauge(1), "docker_up": gauge(1), "docker_up_ratio": gauge(1),
		"docker_clock_offset_seconds": gauge(0), "docker_oom_events_total": gauge(1), "tallyman_collect_rounds_total": rate(0.1), "tallyman_collect_late_rounds_total": gauge(1),
		"tallyman_samples_dropped_total": gauge(0), "tallyman_events_dropped_total": gauge(0), "tallyman_records_dropped_total": gauge(0), "tallyman_log_gaps_total": gauge(0), "tallyman_series_refused": gauge(0),
	}
}

func watch(b *testing.B) *watched {
	b.Helper()
	dir, quiet := b.TempDir(), slog.New(slog.DiscardHandler)
	samples, err := samplestore.Open(filepath.Join(dir, "metrics"), samplestore.Options{Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = samples.Close() })
	end := time.Now().Truncate(time.Minute)
	into := samples.Results(0)
	var all []labels.Labels
	var goes []func(float64) float64
	for name, how := range hostSeries() {
		all, goes = append(all, labels.FromStrings("__name__", name, "host", "harbor", "device", "/dev/vda", "engine", "local", "fstype", "ext4")), append(goes, how)
	}
	hosts := len(all)
	for i := range containers {
		id := fmt.Sprintf("/docker/%064x", i)
		for name, how := range containerSeries() {
			all, goes = append(all, labels.FromStrings("__name__", name, "host", "harbor", "id", id, "image", "shop/web:1", "name", fmt.Sprint("web-", i), "workload", fmt.Sprint("shop/web/", i))), append(goes, how)
		}
	}
	for at := end.Add(-6 * time.Hour); !at.After(end); {
		last := end.Sub(at) <= time.Hour
		some := all
		if !last {
			some = all[:hosts]
		}
		app := into.Appender(context.Background())
		for i, l := range some {
			if _, err := app.Append(0, l, at.UnixMilli(), goes[i](at.Sub(end.Add(-6*time.Hour)).Seconds())); err != nil {
				b.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
		if last {
			at = at.Add(10 * time.Second)
		} else {
			at = at.Add(time.Minute)
		}
	}

	records, err := record.Open(record.Options{Dir: filepath.Join(dir, "records"), Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = records.Close() })
	intake := pipeline.NewRecords(records, quiet).Intake("container")
	for i := range containers {
		for _, level := range []string{"info", "error"} {
			s := tallyman.StreamRecords{Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "harbor"}, {Name: "level", Value: level}, {Name: "name", Value: fmt.Sprint("web-", i)},
				{Name: "source", Value: "container"}, {Name: "workload", Value: fmt.Sprint("shop/web/", i)}}}}
			every := 6 * time.Second
			if level == "error" {
				every = time.Minute
			}
			for at := end.Add(-time.Hour - 5*time.Minute); at.Before(end); at = at.Add(every) {
				s.Records = append(s.Records, tallyman.Record{Time: at.UnixNano(), Line: []byte("GET /shop/basket?id=17 took 12 ms")})
			}
			if err := intake.TakeRecords(context.Background(), &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{s}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	return &watched{samples: samples, logs: logql.New(records, logql.Options{}), end: end}
}

// options are those of an engine of rules over it.
func (w *watched) options(b *testing.B, file string) rule.Options {
	o := rule.Options{
		Samples: w.samples.Queryable(), Append: w.samples.Results(5000), Problems: func() []problem.Problem { return nil }, Notify: func(context.Context, string, ...*rules.Alert) {},
		Log: slog.New(slog.DiscardHandler), CheckLogQL: func(string) error { return nil }, LogQL: w.value,
	}
	if o.Builtin = file == ""; !o.Builtin {
		o.Files = []string{file}
	}
	return o
}

func (w *watched) value(ctx context.Context, text string, t time.Time) (promql.Vector, error) {
	r, err := w.logs.Query(ctx, logql.Params{Query: text, Start: t.UnixNano(), End: t.UnixNano()})
	if err != nil {
		return nil, err
	}
	var out promql.Vector
	for _, s := range r.Series {
		l := labels.NewScratchBuilder(len(s.Labels))
		for _, x := range s.Labels {
			l.Add(x.Name, x.Value)
		}
		out = append(out, promql.Sample{Metric: l.Labels(), T: t.UnixMilli(), F: s.Points[len(s.Points)-1].Value})
	}
	return out, nil
}

// expressions are those of ten rules: three of the default ones, ratios, rates and thresholds.
var expressions = []string{
	`max by (host, workload) ((container_memory_usage_percent > %d) and on (host, id) (container_memory_rss / container_spec_memory_limit_bytes > 0.75) and on (host, id) (container_spec_memory_limit_bytes < on (host) group_left () machine_memory_bytes))`,
	`max by (host, workload) (rate(container_cpu_cfs_throttled_periods_total[10m]) / (rate(container_cpu_cfs_periods_total[10m]) > 1) > %d)`,
	`max by (host, workload) (container_threads / container_threads_max) > %d`,
	`container_memory_working_set_bytes > 1e12 + %d`,
	`container_memory_rss{workload=~"shop/web/1.*"} > 1e12 + %d`,
	`max by (host, workload) (rate(container_cpu_usage_seconds_total[5m])) > %d`,
	`sum by (host) (container_memory_usage_bytes) > 1e12 + %d`,
	`max by (host, workload) (container_memory_usage_bytes / container_spec_memory_limit_bytes) > 1 + %d`,
	`sum by (host) (rate(container_network_receive_bytes_total[5m])) > 1e9 + %d`,
	`time() - container_last_seen{workload="shop/web/7"} > 1e12 + %d`,
}

// BenchmarkRules evaluates rules over a hundred containers. An operation is a round: of 200 rules
// all at once, and of the default ones as often as they come in a minute.
func BenchmarkRules(b *testing.B) {
	w := watch(b)
	var text strings.Builder
	text.WriteString("groups:\n- name: many\n  interval: 1m\n  rules:\n")
	for i := range 200 {
		fmt.Fprintf(&text, "  - {alert: R%d, expr: '%s', for: 5m}\n", i, fmt.Sprintf(expressions[i%len(expressions)], 1000+i))
	}
	file := filepath.Join(b.TempDir(), "many.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		most       time.Duration
	}{{"200 rules", file, 300 * time.Millisecond}, {"default rules, a minute", "", 30 * time.Millisecond}} {
		b.Run(c.name, func(b *testing.B) {
			e, err := rule.New(w.options(b, c.file))
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			at := w.end
			spent := map[string]time.Duration{}
			round := func() {
				at = at.Add(time.Second)
				for _, g := range e.RuleGroups() {
					times := 1
					if strings.HasPrefix(g.Name(), "problems") {
						times = 4 // every 15 s
					}
					for range times {
						spent[g.Name()] += cpu(0, func() { g.Eval(context.Background(), at) })
					}
				}
			}
			round()
			for name, err := range e.Failing() {
				b.Fatalf("%s: %v", name, err)
			}
			if active := e.Active(); len(active) > 0 {
				b.Fatalf("%d fire of a hundred that are well, one is %+v", len(active), active[0])
			}
			clear(spent)
			rounds := max(min(b.N, 10), 10)
			var all []float64
			b.ResetTimer()
			for range rounds {
				all = append(all, float64(cpu(0, round)))
			}
			b.StopTimer()
			b.ReportMetric(0, "ns/op") // means nothing: b.N is no number of operations here
			b.ReportMetric(median(all)/1e6, "cpu-ms/round")
			for name, took := range spent {
				b.ReportMetric(float64(took)/1e6/float64(rounds), "cpu-ms-"+name)
			}
			if got := time.Duration(median(all)); got > c.most*time.Duration(testkit.Slow()) {
				b.Errorf("a round costs %v of CPU, want %v", got, c.most)
			}
		})
	}
}

// BenchmarkActiveAlarms is what a thousand alarms that fire cost in memory: rules, book, router
// and all.
func BenchmarkActiveAlarms(b *testing.B) {
	w := watch(b)
	var posts atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posts.Add(1) }))
	defer receiver.Close()
	measure := func(file string, want int) float64 {
		s, err := alert.Open(alert.Options{Dir: b.TempDir(), Records: forgetful{}, Inventory: nobody{}, Samples: w.samples.Queryable(), Append: w.samples.Results(5000),
			Files: []string{file}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		r, err := route.New(route.Options{Book: s.Book(), Lines: []string{receiver.URL}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		s.SetRouter(r)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Run(ctx)
		}()
		before := posts.Load()
		testkit.Eventually(b, time.Minute, "they fire, and are told", func() error {
			if n := len(s.Active()); n != want || want > 0 && posts.Load() == before {
				return fmt.Errorf("%d fire, %d messages", n, posts.Load()-before)
			}
			return nil
		})
		got := anonymous(b)
		cancel()
		<-done
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		return got
	}
	write := func(name, condition string) string {
		var text strings.Builder
		text.WriteString("groups:\n- name: many\n  interval: 10s\n  rules:\n")
		for i := range 10 {
			fmt.Fprintf(&text, "  - {alert: R%d, expr: 'container_processes %s %d', labels: {severity: warning}, annotations: {summary: '{{$labels.workload}} has {{$value}} processes', advice: none}}\n", i, condition, i)
		}
		name = filepath.Join(b.TempDir(), name)
		if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
			b.Fatal(err)
		}
		return name
	}
	quiet, loud := write("quiet.yaml", "< -1 -"), write("loud.yaml", "> -1 -")
	measure(loud, 10*containers) // what is made once
	var all []float64
	for range runs {
		without := measure(quiet, 0)
		all = append(all, (measure(loud, 10*containers)-without)/(1<<20))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(all), "MiB/1000-alarms")
	// What the heap has not given back is noise, which only adds.
	b.ReportMetric(slices.Min(all), "least-MiB/1000-alarms")
	if slices.Min(all) > 8 {
		b.Errorf("a thousand alarms cost %.1f MiB, want 8", all)
	}
}

// nobody is an inventory without containers.
type nobody struct{}

func (nobody) Containers() []*tallyman.Container            { return nil }
func (nobody) Container(string) (*tallyman.Container, bool) { return nil, false }
func (nobody) Engines() []tallyman.EngineStatus             { return nil }

// forgetful takes records and keeps none.
type forgetful struct{}

func (forgetful) TakeRecords(context.Context, *tallyman.RecordBatch) error { return nil }
func (forgetful) Position(string) (string, bool)                           { return "", false }
func (forgetful) Positions(string) []tallyman.Position                     { return nil }

// anonymous is the memory of this process that is no file, in bytes, without what the
// collector could give back.
func anonymous(b *testing.B) float64 {
	b.Helper()
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	for line := range strings.Lines(testkit.ReadText(b, "/proc/self/smaps_rollup")) {
		if f := strings.Fields(line); f[0] == "Anonymous:" {
			n, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return n * 1024
		}
	}
	b.Fatal("the kernel does not tell")
	return 0
}
