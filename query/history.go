// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"golang.org/x/sync/errgroup"
)

// Column is one line of a chart: a value per step, NaN where there is none.
type Column struct {
	Name   string
	Values []float64
}

// History is the past of one workload, cut into equal steps.
type History struct {
	Start, End time.Time
	Step       time.Duration
	// Columns hold one value per step, the first for Start to Start+Step. A
	// column without any value is left out.
	Columns []Column
	// First is the time of the first sample in the range, zero without one.
	First time.Time
}

// Steps is how many steps the range has.
func (h *History) Steps() int { return int(h.End.Sub(h.Start) / h.Step) }

// MaxPoints is the greatest number of steps of one answer.
const MaxPoints = 11_000

// columns are what History gives: counters as change per second, gauges as
// they are. Several series of one container (interfaces, disks) are added up.
var columns = []struct {
	name, metric string
	counter      bool
}{
	{"cpuUser", "container_cpu_user_seconds_total", true},
	{"cpuSystem", "container_cpu_system_seconds_total", true},
	{"throttled", "container_cpu_cfs_throttled_seconds_total", true},
	{"cpuQuota", "container_spec_cpu_quota", false},
	{"cpuPeriod", "container_spec_cpu_period", false},
	{"anon", "container_memory_rss", false},
	{"cache", "container_memory_cache", false},
	{"kernel", "container_memory_kernel_usage", false},
	{"swap", "container_memory_swap", false},
	{"workingSet", "container_memory_working_set_bytes", false},
	{"memoryLimit", "container_spec_memory_limit_bytes", false},
	{"memoryPeak", "container_memory_max_usage_bytes", false},
	{"rx", "container_network_receive_bytes_total", true},
	{"tx", "container_network_transmit_bytes_total", true},
	{"rxErrors", "container_network_receive_errors_total", true},
	{"txErrors", "container_network_transmit_errors_total", true},
	{"rxDropped", "container_network_receive_packets_dropped_total", true},
	{"txDropped", "container_network_transmit_packets_dropped_total", true},
	{"pids", "container_threads", false},
	{"blkRead", "container_fs_reads_bytes_total", true},
	{"blkWrite", "container_fs_writes_bytes_total", true},
}

// ColumnNames are the names that the columns of a History may have.
func ColumnNames() []string {
	out := []string{"cpuLimit"} // of quota and period
	for _, c := range columns {
		if c.name != "cpuQuota" && c.name != "cpuPeriod" {
			out = append(out, c.name)
		}
	}
	slices.Sort(out)
	return out
}

// hostMemory is compared with a container's limit, which equals it when there
// is no limit.
const hostMemory = "node_memory_MemTotal_bytes"

// History reads the samples of a workload between start and end and spreads
// them over at most points steps. A zero start is that of the oldest sample.
//
// Each pair of neighbouring samples tells the time between them: a counter's
// change divided by it, a gauge's newer value. That value is spread over the
// steps it covers, so a step longer than the interval gets the mean, weighted
// by time, and a shorter one repeats it. Neighbours further apart than three
// and a half intervals, a counter that went back and the end of a series tell
// nothing: that is a gap. Containers that followed one another under the
// workload's name join into one line.
func (e *Engine) History(ctx context.Context, host, workload string, start, end time.Time, points int) (*History, error) {
	if points < 1 || points > MaxPoints {
		return nil, fmt.Errorf("history of %d points: want 1 to %d", points, MaxPoints)
	}
	match := []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "host", host),
		labels.MustNewMatcher(labels.MatchEqual, "workload", workload),
	}
	if start.IsZero() {
		first, err := e.first(ctx, match, "container_last_seen", end)
		if err != nil {
			return nil, err
		}
		if start = first; first.IsZero() {
			start = end.Add(-time.Second)
		}
	}
	if !end.After(start) {
		return nil, fmt.Errorf("history from %s to %s: the end must be after the start", start.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	step := max(time.Second, (end.Sub(start)/time.Duration(points) + time.Millisecond - 1).Truncate(time.Millisecond))
	if step > time.Second {
		step = (step + time.Second - 1).Truncate(time.Second)
	}
	start = start.Truncate(step)
	n := int((end.Sub(start) + step - 1) / step)
	h := &History{Start: start, End: start.Add(time.Duration(n) * step), Step: step}
	s := &collected{steps: stepsOf(h, n, e.maxGap()), sum: make([][]float64, len(columns)), cover: make([]map[string][]float64, len(columns))}

	names := make([]string, 0, len(columns)+1)
	for _, c := range columns {
		names = append(names, c.metric)
	}
	match = append(match, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, strings.Join(names, "|")))
	if err := e.each(ctx, s.from(), h.End, match, s.reader); err != nil {
		return nil, fmt.Errorf("history of %s on %s: %w", workload, host, err)
	}
	total, err := e.Instant(ctx, "max("+hostMemory+`{host=`+fmt.Sprintf("%q", host)+"})", h.End)
	if err != nil {
		return nil, err
	}
	memory := 0.0
	if len(total) == 1 {
		memory = total[0].F
	}
	h.Columns = s.columns(memory)
	if s.first > 0 {
		h.First = time.UnixMilli(s.first)
	}
	return h, nil
}

// maxGap is how far apart two samples may be to belong together.
func (e *Engine) maxGap() time.Duration { return max(5*time.Second, e.interval*7/2) }

// watched are series of which each host has one from its first round on.
const watched = "node_load1|docker_up"

// First is the time of the oldest sample of a host that is before end, zero without one.
func (e *Engine) First(ctx context.Context, host string, end time.Time) (time.Time, error) {
	return e.first(ctx, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "host", host)}, watched, end)
}

// first is the time of the oldest sample of some metrics, zero without one.
func (e *Engine) first(ctx context.Context, match []*labels.Matcher, metrics string, end time.Time) (first time.Time, err error) {
	match = append(slices.Clip(match), labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, metrics))
	set, done, err := e.selected(ctx, time.Unix(0, 0), end, match)
	if err != nil {
		return first, err
	}
	defer done()
	var list chunks.Iterator
	var it chunkenc.Iterator
	for set.Next() {
		if list = set.At().Iterator(list); !list.Next() {
			if err := list.Err(); err != nil {
				return first, err
			}
			continue
		}
		if it = list.At().Chunk.Iterator(it); it.Next() == chunkenc.ValFloat {
			if t, _ := it.At(); first.IsZero() || t < first.UnixMilli() {
				first = time.UnixMilli(t)
			}
		}
		if err := it.Err(); err != nil {
			return first, err
		}
	}
	return first, set.Err()
}

func (e *Engine) selected(ctx context.Context, start, end time.Time, match []*labels.Matcher) (set storage.ChunkSeriesSet, done func(), err error) {
	q, err := e.queryable.ChunkQuerier(start.UnixMilli(), end.UnixMilli())
	if err != nil {
		return nil, nil, err
	}
	set = q.Select(ctx, false, &storage.SelectHints{Start: start.UnixMilli(), End: end.UnixMilli()}, match...)
	return set, func() { _ = q.Close() }, nil // it was read only
}

// series is one that was selected, its chunks the oldest first. They are read one by one,
// which costs less than the merged iterators that Prometheus' engine reads.
type series struct {
	labels labels.Labels
	chunks []chunks.Meta
}

// A reader reads the series that are handed to it, one after another.
type reader func(series) error

// mostReaders read side by side.
const mostReaders = 4

// each has every selected series read by one of some readers that run side by side, and
// that newReader makes.
func (e *Engine) each(ctx context.Context, start, end time.Time, match []*labels.Matcher, newReader func() reader) error {
	work, ctx := errgroup.WithContext(ctx)
	set, done, err := e.selected(ctx, start, end, match)
	if err != nil {
		return err
	}
	defer done()
	found := make(chan series)
	for range min(mostReaders, runtime.GOMAXPROCS(0)) {
		read := newReader()
		work.Go(func() error {
			for one := range found {
				if err := read(one); err != nil {
					return err
				}
			}
			return nil
		})
	}
	work.Go(func() error {
		defer close(found)
		var list chunks.Iterator
		for set.Next() {
			s := set.At()
			one := series{labels: s.Labels()}
			for list = s.Iterator(list); list.Next(); {
				one.chunks = append(one.chunks, list.At())
			}
			if err := list.Err(); err != nil {
				return err
			}
			select {
			case found <- one:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return set.Err()
	})
	return work.Wait()
}

// steps are what the samples of series are spread over.
type steps struct {
	start, step, gap int64 // ms
	n                int
	// window is how many ms of each step are read, from its beginning on; all with 0.
	window int64
}

func stepsOf(h *History, n int, gap time.Duration) steps {
	return steps{start: h.Start.UnixMilli(), step: h.Step.Milliseconds(), gap: gap.Milliseconds(), n: n}
}

// from is how far back samples are needed: one before the first step.
func (s steps) from() time.Time { return time.UnixMilli(s.start - s.gap) }

func (s steps) end() int64 { return s.start + int64(s.n)*s.step }

// collected are the samples of all series in columns.
type collected struct {
	steps
	mu    sync.Mutex
	sum   [][]float64            // by column: value × covered time
	cover []map[string][]float64 // by column and container: covered time
	first int64
}

// reader makes one.
func (c *collected) reader() reader {
	x := newSpreader(c.steps)
	return func(s series) error {
		name := s.labels.Get(model.MetricNameLabel)
		at := slices.IndexFunc(columns, func(c struct {
			name, metric string
			counter      bool
		}) bool {
			return c.metric == name
		})
		if at < 0 {
			return nil
		}
		if err := x.spread(s, columns[at].counter); err != nil {
			return err
		}
		id := s.labels.Get("id")
		c.mu.Lock()
		defer c.mu.Unlock()
		if x.first > 0 && (c.first == 0 || x.first < c.first) {
			c.first = x.first
		}
		if c.sum[at] == nil {
			c.sum[at] = make([]float64, c.n)
			c.cover[at] = map[string][]float64{}
		}
		if c.cover[at][id] == nil {
			c.cover[at][id] = make([]float64, c.n)
		}
		for i := range x.sum {
			c.sum[at][i] += x.sum[i]
			c.cover[at][id][i] = max(c.cover[at][id][i], x.cover[i])
		}
		return nil
	}
}

// spreader spreads the samples of one series at a time over the steps.
type spreader struct {
	steps
	sum, cover []float64 // by step: value × covered time, and covered time
	most       float64   // the greatest value that counted
	first      int64     // the time of the first sample in the range, 0 without one
	newest     int64     // that of the last one that was read

	// The step at hand, so that most samples need no division.
	at             int
	atStart, atEnd int64 // ms
	it             chunkenc.Iterator
}

func newSpreader(s steps) *spreader {
	return &spreader{steps: s, sum: make([]float64, s.n), cover: make([]float64, s.n)}
}

// spread reads a series.
func (s *spreader) spread(one series, counter bool) error {
	clear(s.sum)
	clear(s.cover)
	s.most, s.first, s.newest = 0, 0, 0
	end := s.end()
	var lastT, wanted int64 // what is before wanted is not
	var lastV float64
	for _, c := range one.chunks {
		if c.MaxTime < wanted {
			continue
		}
		s.it = c.Chunk.Iterator(s.it)
		for has := s.it.Seek(wanted); has == chunkenc.ValFloat; {
			t, v := s.it.At()
			if to := s.skip(t); to > 0 {
				lastT, wanted = 0, to
				has = s.it.Seek(to)
				continue
			}
			has = s.it.Next()
			if value.IsStaleNaN(v) {
				lastT = 0
				continue
			}
			s.newest = t
			if s.first == 0 && t >= s.start {
				s.first = t
			}
			if dt := t - lastT; lastT > 0 && dt > 0 && dt <= s.gap && (!counter || v >= lastV) {
				now := v
				if counter {
					now = (v - lastV) * 1000 / float64(dt)
				}
				s.give(lastT, t, now)
				if t > s.start && lastT < end {
					s.most = max(s.most, now)
				}
			}
			lastT, lastV = t, v
		}
		if err := s.it.Err(); err != nil {
			return err
		}
	}
	return nil
}

// skip is where to read on from a time that is not wanted, 0 for one that is.
func (s *spreader) skip(t int64) int64 {
	if s.window == 0 || t < s.start {
		return 0
	}
	in := (t - s.start) % s.step
	to := t - in + s.step - s.gap // one sample before the step tells its beginning
	if in <= s.window || to <= t {
		return 0
	}
	return to
}

// give gives v to the steps between from and to, by the share of each that is covered.
func (s *spreader) give(from, to int64, v float64) {
	from, to = max(from, s.start), min(to, s.end())
	for from < to {
		if from < s.atStart || from >= s.atEnd {
			s.at = int((from - s.start) / s.step)
			s.atStart = s.start + int64(s.at)*s.step
			s.atEnd = s.atStart + s.step
		}
		end := min(to, s.atEnd)
		w := float64(end - from)
		s.sum[s.at] += v * w
		s.cover[s.at] += w
		from = end
	}
}

// columns divides and turns quota and period into a limit in cores.
func (s *collected) columns(hostMemory float64) []Column {
	all := map[string][]float64{}
	for at, c := range columns {
		if s.sum[at] == nil {
			continue
		}
		v := make([]float64, s.n)
		for i := range v {
			cover := 0.0
			for _, one := range s.cover[at] {
				cover += one[i]
			}
			v[i] = s.sum[at][i] / cover // NaN where nothing was covered
		}
		all[c.name] = v
	}
	if quota, period := all["cpuQuota"], all["cpuPeriod"]; quota != nil && period != nil {
		for i := range quota {
			quota[i] /= period[i]
		}
		all["cpuLimit"] = quota
	}
	delete(all, "cpuQuota")
	delete(all, "cpuPeriod")
	for i, v := range all["memoryLimit"] {
		if hostMemory > 0 && v >= hostMemory {
			all["memoryLimit"][i] = math.NaN()
		}
	}
	var out []Column
	for name, v := range all {
		if slices.ContainsFunc(v, func(x float64) bool { return !math.IsNaN(x) }) {
			out = append(out, Column{name, v})
		}
	}
	slices.SortFunc(out, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	return out
}
