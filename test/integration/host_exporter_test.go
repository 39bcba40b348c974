// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/exposition"
	"tallyman/internal/testkit"
)

// said is what a page of metrics says: types by name, values by series.
type said struct {
	types  map[string]tallyman.MetricType
	labels map[string]string // names of labels by name of a metric, of its first series
	values map[string]float64
}

// Desc implements exposition.Sink.
func (s *said) Desc(name string, typ tallyman.MetricType, _ string) *tallyman.Desc {
	s.types[name] = typ
	return &tallyman.Desc{Name: name}
}

// Add implements exposition.Sink. Empty labels are as good as none; host is tallyman's.
func (s *said) Add(d *tallyman.Desc, v float64, pairs ...string) {
	var names, own []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != "host" && pairs[i+1] != "" {
			names, own = append(names, pairs[i]), append(own, pairs[i]+"="+pairs[i+1])
		}
	}
	slices.Sort(names)
	slices.Sort(own)
	s.labels[d.Name] = strings.Join(names, ",")
	s.values[d.Name+"{"+strings.Join(own, ",")+"}"] = v
}

func parseSaid(t *testing.T, body string) *said {
	t.Helper()
	s := &said{types: map[string]tallyman.MetricType{}, labels: map[string]string{}, values: map[string]float64{}}
	reader := exposition.Reader{Keep: func(name string) bool { return strings.HasPrefix(name, "node_") }}
	if _, err := reader.Parse([]byte(body), "text/plain", s); err != nil {
		t.Fatal(err)
	}
	return s
}

// hostDifferences are those between tallyman and Debian's node_exporter that were looked
// at and are as they should be. They stand in docs/host.md too.
var hostDifferences = []difference{
	{"-", `node_exporter_build_info.*`, "is about the exporter"},
	{"-", `node_scrape_collector_(duration_seconds|success).*`, "is about the exporter; tallyman says why a collector has nothing (absences, doctor) and what rounds cost (tallyman_collect_seconds_total)"},
	{"-", `node_network_speed_bytes .*`, "a speed that the driver does not know is absent, not -125000"},
	{"!", `node_network_info .*`, "adminstate is a label of node_exporter 1.9"},
	{"!", `node_disk_info .*`, "rotational is a label of node_exporter 1.9"},
	{"+", `node_softnet_(cpu_collision_total|received_rps_total|flow_limit_count_total|backlog_len) .*`, "node_exporter 1.9 has it"},
	{"+", `node_netstat_TcpExt_(TCPOFOQueue|TCPRcvQDrop) .*`, "node_exporter 1.9 has it"},
	{"+", `node_cpu_info .*`, "the exporter has it with --collector.cpu.info"},
	{"+", `node_cpu_(online|isolated) .*`, "node_exporter 1.9 has it"},
	{"+", `node_pressure_irq_stalled_seconds_total .*`, "node_exporter 1.9 has it"},
}

// hostSeriesLeftOut are series of metrics that both have, and that tallyman leaves out.
var hostSeriesLeftOut = []difference{
	{"-", `node_network_.*device=veth.*`, "containers' ends of pairs: their own rows have the numbers"},
	{"-", `node_network_speed_bytes.*`, "unknown to the driver"},
	{"-", `node_disk_.*device=zram\d.*`, "node_exporter 1.9 leaves them out too"},
}

// hostMoves are gauges that change at any moment.
var hostMoves = regexp.MustCompile(`^node_(time_seconds|load|memory_|filesystem_(avail|free)_bytes|filesystem_files_free|sockstat|procs_|filefd_allocated|timex_|disk_io_now|netstat_Tcp_CurrEstab|nf_conntrack|entropy|arp_entries|udp_queues|network_(carrier|up|flags|info|dormant))`)

// Debian's node_exporter, beside tallyman on the same host, gives the same names with the
// same types, labels and values, but for what was looked at.
func TestHostBesideNodeExporter(t *testing.T) {
	if os.Getenv("TEST_EXPORTERS") == "" {
		t.Skip("the exporter is compared with TEST_EXPORTERS=1 only")
	}
	program, err := exec.LookPath("prometheus-node-exporter")
	if err != nil {
		t.Fatalf("%v: apt-get install prometheus-node-exporter", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	texts := t.TempDir()
	const job = "# TYPE node_job_last_seconds gauge\nnode_job_last_seconds{job_name=\"backup\"} 12.5\n"
	if err := os.WriteFile(filepath.Join(texts, "job.prom"), []byte(job), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--web.listen-address="+address, "--collector.textfile.directory="+texts)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	theirs := func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
		return string(body), err
	}
	testkit.Eventually(t, 20*time.Second, "the exporter answers", func() error {
		_, err := theirs(t.Context())
		return err
	})
	p := testkit.StartProgram(t, testkit.DataDir(t), "--set", "sources.host.textfile="+texts)

	var before, ours, after *said
	page := func() *said {
		body, err := theirs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return parseSaid(t, body)
	}
	testkit.Eventually(t, 20*time.Second, "the values are those of the exporter just before and just after", func() error {
		before = page()
		status, body := p.Get("/metrics")
		if status != http.StatusOK {
			return fmt.Errorf("/metrics: %d", status)
		}
		ours, after = parseSaid(t, body), page()
		return sameValues(before, ours, after)
	})

	var lines []string
	for _, name := range slices.Sorted(maps.Keys(before.labels)) {
		theirShape := name + " " + before.types[name].String() + "{" + before.labels[name] + "}"
		ourShape := name + " " + ours.types[name].String() + "{" + ours.labels[name] + "}"
		_, have := ours.labels[name]
		switch {
		case !have:
			lines = append(lines, "- "+theirShape)
		case theirShape != ourShape && labelsOf(before, name) != labelsOf(ours, name) || before.types[name] != ours.types[name]:
			lines = append(lines, "! "+theirShape+" | "+ourShape)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ours.labels)) {
		if _, have := before.labels[name]; !have {
			lines = append(lines, "+ "+name+" "+ours.types[name].String()+"{"+ours.labels[name]+"}")
		}
	}
	missing := 0
	for _, l := range lines {
		if l[0] == '-' {
			missing++
		}
		if !slices.ContainsFunc(hostDifferences, func(d difference) bool {
			return l[:1] == d.side && regexp.MustCompile(`^(?:`+d.what+`)$`).MatchString(l[2:])
		}) {
			t.Errorf("not reviewed: %s", l)
		}
	}
	t.Logf("%d names of the exporter, %d missing; %d names of tallyman, %d series; differences:\n%s",
		len(before.labels), missing, len(ours.labels), len(ours.values), strings.Join(lines, "\n"))
	if missing*50 > len(before.labels) {
		t.Errorf("%d of %d names are missing, more than 2 %%", missing, len(before.labels))
	}
}

// labelsOf are the names of labels that any series of a metric has.
func labelsOf(s *said, name string) string {
	set := map[string]bool{}
	for series := range s.values {
		if rest, ok := strings.CutPrefix(series, name+"{"); ok {
			for _, pair := range strings.Split(strings.TrimSuffix(rest, "}"), ",") {
				if key, _, ok := strings.Cut(pair, "="); ok {
					set[key] = true
				}
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), ",")
}

// sameValues finds a series of the exporter that tallyman has not, or with a value that
// does not lie between the two of the exporter.
func sameValues(before, ours, after *said) error {
	for _, series := range slices.Sorted(maps.Keys(before.values)) {
		name, _, _ := strings.Cut(series, "{")
		low, still := before.values[series], true
		high, there := after.values[series]
		if _, known := ours.labels[name]; !known || !there {
			continue // the names are compared by themselves; what went meanwhile is not compared
		}
		if name == "node_network_info" || name == "node_disk_info" || slices.ContainsFunc(hostSeriesLeftOut, func(d difference) bool {
			return regexp.MustCompile(`^(?:` + d.what + `)$`).MatchString(series)
		}) {
			continue
		}
		got, have := ours.values[series]
		if !have {
			return fmt.Errorf("%s is missing", series)
		}
		low, high, still = min(low, high), max(low, high), low == high
		slack := 1e-9 * math.Abs(high)
		switch {
		case hostMoves.MatchString(name) && name != "node_memory_MemTotal_bytes":
			slack = 0.1*math.Abs(high) + 3
		case strings.Contains(series, "mode=idle") || strings.Contains(series, "mode=iowait"):
			slack = 0.2 // these go back a little now and then
		case strings.HasPrefix(name, "node_network_receive_nohandler"):
			slack = 1000 // up to ten seconds old
		case !still:
			slack += 0.02 * math.Abs(high-low) // a last digit
		}
		if got < low-slack || got > high+slack {
			return fmt.Errorf("%s = %v, the exporter says %v and %v", series, got, low, high)
		}
	}
	return nil
}
