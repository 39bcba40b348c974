// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Moved is what was measured in a range beside what was measured in the equally long one
// before it.
type Moved struct {
	// The range is from Middle to End, the one before from Start to Middle.
	Start, Middle, End time.Time
	Step               time.Duration
	// Sample is how much of each step was read from its beginning on; all of it when it
	// equals Step.
	Sample time.Duration
	// Series are those that moved, by their score, the greatest first.
	Series []Move
	// Compared is how many had samples; Left how many more there were than can be compared.
	Compared, Left int
	// Watched is by host how much of the two ranges has samples of anything of it.
	Watched map[string][2]time.Duration
}

// Move is how one number of a container or a host moved.
type Move struct {
	// Measure is one of MeasureNames. Part is which of several: a device, a mount point, a
	// state of connections.
	Measure, Part string
	Host          string
	// Workload is empty for the host's own. ID, Name and Image are of the container that
	// has the last sample.
	Workload, ID, Name, Image string
	// Before and After are what was usual in the two ranges: the medians of the steps. NaN
	// is where it had no samples although its host was watched: it did not run.
	Before, After float64
	// Peak is set where the usual moved less than the high ones: Before and After are then
	// the values that one step in ten is above.
	Peak  bool
	Score float64
	// Points are the means of the steps of both ranges, NaN where there is no sample.
	Points []float64
}

// MovedQuery is what to compare.
type MovedQuery struct {
	// Host and Workload narrow it. With a workload nothing of the host itself is compared.
	Host, Workload string
	// Start and End are those of the range.
	Start, End time.Time
}

// measure is a number that is compared.
type measure struct {
	name    string
	host    bool
	counter bool
	floor   float64 // a move of so much is nothing to speak of
	part    string  // the label that tells several apart
	metrics []string
}

// measures are compared. Their floors are about equally little: what nobody would look at.
var measures = []measure{
	{name: "cpu", counter: true, floor: 0.02, metrics: []string{cpuUsed}},
	{name: "throttled", counter: true, floor: 0.02, metrics: []string{"container_cpu_cfs_throttled_seconds_total"}},
	{name: "memory", floor: 8 << 20, metrics: []string{memoryUsed}},
	{name: "cache", floor: 32 << 20, metrics: []string{"container_memory_cache"}},
	{name: "swap", floor: 8 << 20, metrics: []string{"container_memory_swap"}},
	{name: "threads", floor: 4, metrics: []string{"container_threads"}},
	{name: "rx", counter: true, floor: 16 << 10, metrics: []string{received}},
	{name: "tx", counter: true, floor: 16 << 10, metrics: []string{sent}},
	{name: "netErrors", counter: true, floor: 0.2, metrics: []string{"container_network_receive_errors_total", "container_network_transmit_errors_total", "container_network_receive_packets_dropped_total", "container_network_transmit_packets_dropped_total"}},
	{name: "blkRead", counter: true, floor: 128 << 10, metrics: []string{"container_fs_reads_bytes_total"}},
	{name: "blkWrite", counter: true, floor: 128 << 10, metrics: []string{"container_fs_writes_bytes_total"}},
	{name: "tcp", floor: 8, part: "tcp_state", metrics: []string{"container_network_tcp_usage_total"}},
	{name: "cpuPressure", counter: true, floor: 0.1, metrics: []string{"container_pressure_cpu_waiting_seconds_total"}},
	{name: "memoryPressure", counter: true, floor: 0.05, metrics: []string{"container_pressure_memory_waiting_seconds_total"}},
	{name: "ioPressure", counter: true, floor: 0.05, metrics: []string{"container_pressure_io_waiting_seconds_total"}},

	{name: "hostCpu", host: true, counter: true, floor: 0.05, metrics: []string{cpuTime}},
	{name: "hostAvailable", host: true, floor: 64 << 20, metrics: []string{hostFree}},
	{name: "hostSpace", host: true, floor: 256 << 20, part: "mountpoint", metrics: []string{"node_filesystem_avail_bytes"}},
	{name: "hostRx", host: true, counter: true, floor: 64 << 10, part: "device", metrics: []string{"node_network_receive_bytes_total"}},
	{name: "hostTx", host: true, counter: true, floor: 64 << 10, part: "device", metrics: []string{"node_network_transmit_bytes_total"}},
	{name: "hostRead", host: true, counter: true, floor: 512 << 10, part: "device", metrics: []string{"node_disk_read_bytes_total"}},
	{name: "hostWritten", host: true, counter: true, floor: 512 << 10, part: "device", metrics: []string{"node_disk_written_bytes_total"}},
	{name: "hostCpuPressure", host: true, counter: true, floor: 0.1, metrics: []string{"node_pressure_cpu_waiting_seconds_total"}},
	{name: "hostMemoryPressure", host: true, counter: true, floor: 0.05, metrics: []string{"node_pressure_memory_waiting_seconds_total"}},
	{name: "hostIoPressure", host: true, counter: true, floor: 0.05, metrics: []string{"node_pressure_io_waiting_seconds_total"}},
}

// MeasureNames are the measures that a Move may be of.
func MeasureNames() []string {
	var out []string
	for _, m := range measures {
		out = append(out, m.name)
	}
	slices.Sort(out)
	return out
}

// perContainer are devices of a host that belong to its containers.
var perContainer = regexp.MustCompile(`^(lo|veth.*|br-.*|docker.*|cali.*|flannel.*|cni.*)$`)

const (
	// moveSteps is how many steps each of the two ranges has at most.
	moveSteps = 60
	// moveRead is how much of both ranges is read in all; of longer ones a part of each step.
	moveRead = 12 * time.Hour
	// mostMoves bounds the series that are compared.
	mostMoves = 20_000
	// moveLeast is the score from which on something has moved.
	moveLeast = 3
	// moveShare is how much of what is usual is nothing to speak of.
	moveShare = 0.02
	// likeSigma makes of the median absolute deviation what the standard deviation is of
	// values that vary by chance.
	likeSigma = 1.4826
	// tenth is the share of steps that may be above the high values.
	tenth = 0.9
)

// moveKey is one number of a container or a host.
type moveKey struct {
	measure              int
	host, workload, part string
}

// moving are its sums over the steps of both ranges.
type moving struct {
	sum   []float64
	cover map[string][]float64 // by container
	last  int64                // when the newest of its containers was seen
	of    Move
}

// Moved compares a range with the one before: which numbers of containers and hosts moved
// most.
//
// Both ranges are cut into steps, and of each step the mean is taken. The score of a series is
//
//	max(|M(after) − M(before)|, |H(after) − H(before)| / 2) / (1.4826 · MAD(before) + floor + 0.02 · max(M, H))
//
// where M is the median of the steps, H what one step in ten is above, MAD(before) the median
// distance from the median in the range before, and floor what is too little to speak of in
// that unit. So a series that always jumps has to jump further, one that never moved need not
// move much, and neither a millicore nor one odd sample counts. From 3 on a series has moved.
//
// Containers that followed one another under a workload are one series. While one did not run it
// took nothing, provided that its host was watched; else it is not compared.
func (e *Engine) Moved(ctx context.Context, q MovedQuery) (*Moved, error) {
	length := q.End.Sub(q.Start)
	if length < time.Second {
		return nil, fmt.Errorf("what moved from %s to %s: the end must be at least a second after the start", q.Start.Format(time.RFC3339), q.End.Format(time.RFC3339))
	}
	n := int(max(1, min(moveSteps, length/time.Second)))
	step := (length / time.Duration(n)).Truncate(time.Millisecond)
	out := &Moved{Start: q.End.Add(-step * time.Duration(2*n)), Middle: q.End.Add(-step * time.Duration(n)), End: q.End, Step: step, Sample: step, Watched: map[string][2]time.Duration{}}
	h := &History{Start: out.Start, End: out.End, Step: step}
	s := &mover{steps: stepsOf(h, 2*n, e.maxGap()), half: n, by: map[moveKey]*moving{}, measure: map[string]int{}, watched: map[string][]float64{}}
	if window := moveRead / time.Duration(2*n); window < step {
		out.Sample, s.window = window, window.Milliseconds()
	}
	var match []*labels.Matcher
	if q.Host != "" {
		match = append(match, labels.MustNewMatcher(labels.MatchEqual, "host", q.Host))
	}
	if q.Workload != "" {
		match = append(match, labels.MustNewMatcher(labels.MatchEqual, "workload", q.Workload))
	}
	var names []string
	for i, m := range measures {
		if m.host && q.Workload != "" {
			continue
		}
		for _, metric := range m.metrics {
			s.measure[metric] = i
			names = append(names, metric)
		}
	}
	if q.Workload != "" { // a host is watched also while a container of it does not run
		hosts := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, watched)}
		if q.Host != "" {
			hosts = append(hosts, match[0])
		}
		if err := e.each(ctx, s.from(), out.End, hosts, s.watcher); err != nil {
			return nil, fmt.Errorf("what moved: %w", err)
		}
	}
	match = append(match, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, strings.Join(names, "|")))
	if err := e.each(ctx, s.from(), out.End, match, s.reader); err != nil {
		return nil, fmt.Errorf("what moved: %w", err)
	}
	for host, w := range s.watched {
		out.Watched[host] = [2]time.Duration{time.Duration(total(w[:n])) * time.Millisecond, time.Duration(total(w[n:])) * time.Millisecond}
	}
	for k, m := range s.by {
		out.Compared++
		if move, ok := s.judge(k, m); ok {
			out.Series = append(out.Series, move)
		}
	}
	out.Left = s.left
	slices.SortFunc(out.Series, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Host, b.Host), strings.Compare(a.Workload, b.Workload), strings.Compare(a.Measure, b.Measure), strings.Compare(a.Part, b.Part))
	})
	return out, nil
}

// mover collects the samples of series into what is compared.
type mover struct {
	steps
	half    int
	measure map[string]int // by metric

	mu      sync.Mutex
	by      map[moveKey]*moving
	watched map[string][]float64 // by host
	left    int
}

// watcher makes a reader that notes when hosts were watched.
func (s *mover) watcher() reader {
	x := newSpreader(s.steps)
	return func(one series) error {
		if err := x.spread(one, false); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.see(one.labels.Get("host"), x.cover)
		return nil
	}
}

// see notes that a host was watched where a series of it has samples.
func (s *mover) see(host string, cover []float64) {
	w := s.watched[host]
	if w == nil {
		w = make([]float64, s.n)
		s.watched[host] = w
	}
	for i, c := range cover {
		w[i] = max(w[i], c)
	}
}

// reader makes one of what is compared.
func (s *mover) reader() reader {
	x := newSpreader(s.steps)
	return func(one series) error { return s.take(one, x) }
}

// take reads one series with a spreader.
func (s *mover) take(one series, x *spreader) error {
	at, ok := s.measure[one.labels.Get(model.MetricNameLabel)]
	if !ok {
		return nil
	}
	m := &measures[at]
	k := moveKey{measure: at, host: one.labels.Get("host")}
	id := ""
	if m.host {
		if mode := one.labels.Get("mode"); mode == "idle" || mode == "iowait" || m.part == "device" && perContainer.MatchString(one.labels.Get("device")) {
			return nil
		}
	} else {
		if id, ok = strings.CutPrefix(one.labels.Get("id"), "/docker/"); !ok {
			return nil
		}
		k.workload = one.labels.Get("workload")
	}
	if m.part != "" {
		k.part = one.labels.Get(m.part)
	}
	if err := x.spread(one, m.counter); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.see(k.host, x.cover)
	if total(x.cover) == 0 {
		return nil
	}
	of := s.by[k]
	if of == nil {
		if len(s.by) >= mostMoves {
			s.left++
			return nil
		}
		of = &moving{sum: make([]float64, s.n), cover: map[string][]float64{}}
		s.by[k] = of
	}
	cover := of.cover[id]
	if cover == nil {
		cover = make([]float64, s.n)
		of.cover[id] = cover
	}
	for i := range x.sum {
		of.sum[i] += x.sum[i]
		cover[i] = max(cover[i], x.cover[i])
	}
	if x.newest > of.last {
		of.last, of.of.ID, of.of.Name, of.of.Image = x.newest, id, one.labels.Get("name"), one.labels.Get("image")
	}
	return nil
}

// judge tells whether and how something moved.
func (s *mover) judge(k moveKey, x *moving) (Move, bool) {
	m := &measures[k.measure]
	points := make([]float64, s.n)
	for i := range points {
		cover := 0.0
		for _, one := range x.cover {
			cover += one[i]
		}
		points[i] = x.sum[i] / cover // NaN where nothing was covered
	}
	before, after := sorted(points[:s.half]), sorted(points[s.half:])
	if len(before) == 0 && s.unknown(k, 0, s.half) || len(after) == 0 && s.unknown(k, s.half, s.n) {
		return Move{}, false
	}
	all := s.filled(k, points)
	b, a := summaryOf(sorted(all[:s.half])), summaryOf(sorted(all[s.half:]))
	d, peak := math.Abs(a.usual-b.usual), math.Abs(a.high-b.high)/2
	scale := likeSigma*b.deviation + m.floor + moveShare*max(math.Abs(a.usual), math.Abs(b.usual), math.Abs(a.high), math.Abs(b.high))
	out := x.of
	out.Measure, out.Part, out.Host, out.Workload, out.Points = m.name, k.part, k.host, k.workload, points
	out.Before, out.After, out.Peak = b.usual, a.usual, peak > d
	if out.Peak {
		out.Before, out.After = b.high, a.high
	}
	if len(before) == 0 {
		out.Before = math.NaN()
	}
	if len(after) == 0 {
		out.After = math.NaN()
	}
	out.Score = max(d, peak) / scale
	return out, out.Score >= moveLeast
}

// unknown reports whether nothing can be said of a number without samples in some steps: a
// container that did not run took nothing, but only where its host was watched, and one that
// ran is not measured in this way.
func (s *mover) unknown(k moveKey, from, to int) bool {
	m := &measures[k.measure]
	if m.metrics[0] != cpuUsed && m.metrics[0] != memoryUsed || total(s.watched[k.host][from:to]) == 0 {
		return true // that it began, or ended, is told by these two
	}
	for _, metric := range []string{cpuUsed, memoryUsed} {
		if x := s.by[moveKey{measure: s.measure[metric], host: k.host, workload: k.workload}]; x != nil {
			for _, cover := range x.cover {
				if total(cover[from:to]) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// filled are the points of a container with 0 for the steps in which it did not run, while its
// host was watched: who ran for a tenth of a range took little of it.
func (s *mover) filled(k moveKey, points []float64) []float64 {
	if measures[k.measure].host {
		return points
	}
	out, ran, w := slices.Clone(points), make([]float64, s.n), s.watched[k.host]
	for _, metric := range []string{cpuUsed, memoryUsed} {
		if x := s.by[moveKey{measure: s.measure[metric], host: k.host, workload: k.workload}]; x != nil {
			for _, cover := range x.cover {
				for i, c := range cover {
					ran[i] += c
				}
			}
		}
	}
	for i, v := range out {
		if math.IsNaN(v) && ran[i] == 0 && w[i] > 0 {
			out[i] = 0
		}
	}
	return out
}

// summary is what values are like.
type summary struct{ usual, high, deviation float64 }

// summaryOf describes sorted values; of none all is 0.
func summaryOf(values []float64) (s summary) {
	if len(values) == 0 {
		return s
	}
	s.usual, s.high = middle(values), values[min(len(values)-1, int(tenth*float64(len(values))))]
	distances := make([]float64, len(values))
	for i, v := range values {
		distances[i] = math.Abs(v - s.usual)
	}
	slices.Sort(distances)
	s.deviation = middle(distances)
	return s
}

// middle is the median of sorted values.
func middle(values []float64) float64 {
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// sorted are the values that there are.
func sorted(points []float64) []float64 {
	out := slices.DeleteFunc(slices.Clone(points), math.IsNaN)
	slices.Sort(out)
	return out
}
