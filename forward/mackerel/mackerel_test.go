// SPDX-License-Identifier: Apache-2.0

package mackerel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/forward/spool"
	"tallyman/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

func decode(r *http.Request, body []byte) (out []string, err error) {
	var all []struct {
		Name  string
		Time  int64
		Value float64
	}
	if err := json.Unmarshal(body, &all); err != nil || len(all) == 0 || r.Header.Get("Content-Type") != "application/json" {
		return nil, fmt.Errorf("%s: %w", body, err)
	}
	for _, one := range all {
		if !nameForm.MatchString(one.Name) {
			return nil, errors.New(one.Name)
		}
		out = append(out, fmt.Sprintf("%s %d %v", one.Name, one.Time, one.Value))
	}
	return out, nil
}

// send puts ticks of series into a spool, sends them all, and gives what arrived.
func sendAll(t *testing.T, ticks func(add func(at int64, samples ...tallyman.Sample)), answers ...forwardtest.Answer) ([]string, *Sender) {
	t.Helper()
	s, r := forwardtest.NewSpool(t)
	ticks(func(at int64, samples ...tallyman.Sample) {
		if _, err := s.AppendSamples(&tallyman.Batch{Time: time.UnixMilli(at), Samples: samples}); err != nil {
			t.Fatal(err)
		}
	})
	server := forwardtest.NewServer(t, decode, answers...)
	c, err := send.New(send.Options{URL: secret.Text(server.URL)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := newSender(Options{Client: c, Host: "h", patience: time.Nanosecond}, send.SampleOptions{Name: forwardtest.Name, Reader: r, Values: true, Gather: time.Millisecond, Line: send.LineOptions{Least: time.Millisecond, Hold: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	for end := time.Now().Add(time.Minute); r.Stats().Waiting > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return server.Lines(), f
}

func of(name string, typ tallyman.MetricType, labels ...tallyman.Label) *tallyman.Series {
	return forwardtest.Host.Series(&tallyman.Desc{Name: name, Type: typ}, labels...)
}

// Counters become rates, several series a sum, and what is not on the list stays here.
func TestValues(t *testing.T) {
	web := tallyman.Label{Name: "name", Value: "shop/web.1 ü"}
	cpu := of("container_cpu_usage_seconds_total", tallyman.Counter, web)
	eth0 := of("container_network_receive_bytes_total", tallyman.Counter, tallyman.Label{Name: "interface", Value: "eth0"}, web)
	eth1 := of("container_network_receive_bytes_total", tallyman.Counter, tallyman.Label{Name: "interface", Value: "eth1"}, web)
	memory := of("container_memory_working_set_bytes", tallyman.Gauge, web)
	idle := of("node_cpu_seconds_total", tallyman.Counter, tallyman.Label{Name: "mode", Value: "idle"})
	load := of("node_load1", tallyman.Gauge)
	whole := of("container_memory_working_set_bytes", tallyman.Gauge, tallyman.Label{Name: "id", Value: "/"})
	other := of("other", tallyman.Gauge, web)
	now := time.Now().Unix()
	at := func(minute int) int64 { return 1000 * (now + int64(60*minute)) }
	got, f := sendAll(t, func(add func(int64, ...tallyman.Sample)) {
		for i, v := range []float64{10, 40, 5, 35} { // a reset
			add(at(i-5), tallyman.Sample{Series: cpu, Value: v}, tallyman.Sample{Series: eth0, Value: float64(60 * i)}, tallyman.Sample{Series: eth1, Value: float64(120 * i)}, tallyman.Sample{Series: memory, Value: 1e9},
				tallyman.Sample{Series: idle, Value: v}, tallyman.Sample{Series: load, Value: 0.5}, tallyman.Sample{Series: whole, Value: 1}, tallyman.Sample{Series: other, Value: 1})
		}
	}, forwardtest.Take)
	want := []string{fmt.Sprintf("container.cpu_percent.shop_web_1__ %d 50", now-240), fmt.Sprintf("container.cpu_percent.shop_web_1__ %d 50", now-120)}
	for i := range 4 {
		want = append(want, fmt.Sprintf("container.memory.shop_web_1__ %d 1e+09", now+int64(60*(i-5))), fmt.Sprintf("host.load1.h %d 0.5", now+int64(60*(i-5))))
		if i > 0 {
			want = append(want, fmt.Sprintf("container.net_in.shop_web_1__ %d 3", now+int64(60*(i-5))))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if read, sent, _ := f.Counts(); read != 20 || sent != 20 {
		t.Errorf("%d read, %d sent", read, sent)
	}
}

// What Mackerel would not record is refused, what it answers with errors is sent again, and
// halves of what it refuses.
func TestAnswers(t *testing.T) {
	var gauges []tallyman.Sample
	for i := range 8 {
		gauges = append(gauges, tallyman.Sample{Series: of("container_memory_usage_bytes", tallyman.Gauge, tallyman.Label{Name: "name", Value: fmt.Sprint("c", i)}), Value: float64(i)})
	}
	bad := func(got []string) bool {
		return slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, "container.memory_usage.c3 ") })
	}
	for name, c := range map[string]struct {
		answers []forwardtest.Answer
		refused map[string]uint64
	}{
		"taken":               {answers: []forwardtest.Answer{forwardtest.Take}},
		"away, 5xx, 429":      {answers: []forwardtest.Answer{forwardtest.Cut(true), forwardtest.Status(503), forwardtest.Status(429), forwardtest.Take}},
		"403":                 {answers: []forwardtest.Answer{forwardtest.Status(403), forwardtest.Take}},
		"400 for one":         {answers: []forwardtest.Answer{forwardtest.Unless(bad, forwardtest.Status(400))}, refused: map[string]uint64{send.Otherwise: 1}},
		"500 for one":         {answers: []forwardtest.Answer{forwardtest.Unless(bad, forwardtest.Status(500))}, refused: map[string]uint64{send.ServerError: 1}},
		"older than 24 hours": {answers: []forwardtest.Answer{forwardtest.Take}, refused: map[string]uint64{tooOld: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			got, f := sendAll(t, func(add func(int64, ...tallyman.Sample)) {
				if c.refused[tooOld] > 0 {
					add(time.Now().Add(-25*time.Hour).UnixMilli(), gauges...)
				}
				add(time.Now().UnixMilli(), gauges...)
			}, c.answers...)
			read, sent, refused := f.Counts()
			n := uint64(0)
			for reason, have := range refused {
				if n += have; have != c.refused[reason] {
					t.Errorf("%d refused for %s, want %d", have, reason, c.refused[reason])
				}
			}
			got = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(got))), func(l string) bool { return strings.Contains(l, "probe") })
			if read != sent+n || uint64(len(got)) != sent {
				t.Errorf("%d read, %d sent, %d arrived, refused %v", read, sent, len(got), refused)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	c, err := send.New(send.Options{URL: "https://h"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Options{Client: c, Host: "web.1"}, send.SampleOptions{Name: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Series(&spool.Series{Name: "node_load1", Type: tallyman.Gauge}); got == nil || got.name != "host.load1.web_1" {
		t.Errorf("got %+v", got)
	}
}
