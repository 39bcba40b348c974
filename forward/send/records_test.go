// SPDX-License-Identifier: Apache-2.0

package send_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/queue"
	"tallyman/forward/send"
)

// sink takes all.
type sink struct {
	ledger *send.Ledger
	got    []string
	idle   int
}

func (s *sink) Stream(st *tallyman.Stream) (*string, string) {
	name := st.Label("name")
	return &name, ""
}

func (s *sink) Deliver(_ context.Context, items []send.Item[string], confirmed func()) error {
	for _, i := range items {
		s.got = append(s.got, fmt.Sprintf("%s %d %s", *i.To, i.Number, i.Line))
	}
	s.ledger.Sent(len(items))
	confirmed()
	return nil
}

func (s *sink) Idle(context.Context) bool {
	s.idle++
	return false
}

func streamWith(pairs ...string) *tallyman.Stream {
	st := &tallyman.Stream{}
	for i := 0; i < len(pairs); i += 2 {
		st.Labels = append(st.Labels, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return st
}

func only(name, value string) []tallyman.Matcher {
	return []tallyman.Matcher{{Name: name, Value: value}}
}

// run runs a sender until what is in the log is confirmed.
func run(t *testing.T, o send.RecordOptions, log *forwardtest.Log) (*sink, send.Stats) {
	t.Helper()
	o.Name, o.Log, o.Every = "to", log, time.Millisecond
	s := &sink{ledger: send.NewLedger("to", send.Records, nil, nil)}
	r := send.NewRecordSender(o, s, s.ledger, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if mark, _ := log.Mark("to"); mark == log.LastMark() || time.Now().After(end) {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return s, r.Stats(queue.State{})
}

func TestWhatIsWanted(t *testing.T) {
	log := forwardtest.NewLog()
	if err := log.CommitMark("to", 0); err != nil {
		t.Fatal(err)
	}
	line := func(text string, meta ...tallyman.Label) tallyman.Record {
		return tallyman.Record{Line: []byte(text), Meta: meta}
	}
	log.Append(streamWith("name", "a", "source", "event"), line("an event"))
	log.Append(streamWith("name", "db", "source", "container"), line("of others"))
	log.Append(streamWith("name", "web", "source", "container"), line("of web"), line(strings.Repeat("ü", 100)))
	log.Append(streamWith("overflow", "streams", "source", "container"), line("mixed of web", tallyman.Label{Name: "name", Value: "web"}), line("mixed of db", tallyman.Label{Name: "name", Value: "db"}))
	got, stats := run(t, send.RecordOptions{Only: [][]tallyman.Matcher{only("source", "event"), only("name", "web")}, MostLine: 60}, log)
	want := []string{"a 1 an event", "web 3 of web", "web 4 " + strings.Repeat("ü", 19) + "… [cut by tallyman]", " 5 mixed of web"}
	if !slices.Equal(got.got, want) || stats.Sent != 4 || got.idle == 0 {
		t.Errorf("got %q and %+v, told of idleness %d times; want %q", got.got, stats, got.idle, want)
	}
}

// When the mark of a destination that was known is gone it is told, and counted.
func TestLostMark(t *testing.T) {
	note := filepath.Join(t.TempDir(), "to.mark")
	for _, c := range []struct {
		name string
		log  func(*forwardtest.Log)
		want string
	}{
		{"a new one", func(*forwardtest.Log) {}, ""},
		{"known", func(l *forwardtest.Log) { _ = l.CommitMark("to", 1) }, ""},
		{"lost", func(*forwardtest.Log) {}, "What came before is not sent on"},
		{"ahead", func(l *forwardtest.Log) { _ = l.CommitMark("to", 99) }, "up to number 99 was sent, and it has 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := forwardtest.NewLog()
			log.Append(streamWith("name", "a"), tallyman.Record{}, tallyman.Record{})
			c.log(log)
			_, stats := run(t, send.RecordOptions{Note: note, Logger: slog.New(slog.DiscardHandler)}, log)
			if (stats.Notice == "") != (c.want == "") || !strings.Contains(stats.Notice, c.want) {
				t.Errorf("it says %q, want %q", stats.Notice, c.want)
			}
			if mark, _ := log.Mark("to"); mark != 2 {
				t.Errorf("the mark is %d, want 2", mark)
			}
			if _, err := os.Stat(note); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSize(t *testing.T) {
	s := send.NewSize(1000, 10)
	s.Refused(900)
	if s.Now() != 450 || s.Whole() {
		t.Fatalf("it is %d, want 450", s.Now())
	}
	for range 20 {
		s.Refused(0)
	}
	if s.Now() != 10 {
		t.Fatalf("it is %d, want 10", s.Now())
	}
	n := 0
	for ; !s.Whole(); n++ {
		s.Passed()
	}
	if n < 1000 || s.Now() != 1000 {
		t.Errorf("it is %d after %d requests, want 1000 after many", s.Now(), n)
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := send.Rate{PerSecond: 1000}
		for range 5 {
			if !r.Wait(t.Context(), 500) {
				t.Fatal("it has ended")
			}
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("2,500 bytes took %v, want 2s before the last", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r.Wait(ctx, 1) || !(&send.Rate{}).Wait(t.Context(), 1<<30) {
			t.Error("it waits, or waits not")
		}
	})
}
