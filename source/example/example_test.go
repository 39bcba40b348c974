// SPDX-License-Identifier: Apache-2.0

package example

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRead(t *testing.T) {
	open := func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		s, err := Read().New(tallyman.SourceOptions{Proc: "/proc"})
		if err != nil {
			t.Fatal(err)
		}
		return s, []*tallyman.Target{sourcetest.Target()}
	}
	sourcetest.Run(t, Read(), open)
	s, targets := open(t)
	defer s.Close()
	if err := s.Attach(targets[0]); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/oom_score")
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	b.Reset(time.Now())
	if s.Collect(&b); len(b.Samples) != 1 || b.Samples[0].Value < want-20 || b.Samples[0].Value > want+20 {
		t.Errorf("%v, want about %v as read by hand", b.Samples, want)
	}
}

// quick is an engine that answers at once.
type quick struct{ tallyman.Engines }

func (quick) EngineDocument(ctx context.Context, _, _ string) (json.RawMessage, error) {
	return json.RawMessage(`{}`), ctx.Err()
}

func TestAsk(t *testing.T) {
	sourcetest.RunPoller(t, Ask(), func(t *testing.T) (tallyman.Poller, []*tallyman.Target) {
		p, err := Ask().Poll(tallyman.SourceOptions{Engines: quick{}})
		if err != nil {
			t.Fatal(err)
		}
		return p, []*tallyman.Target{sourcetest.Target()}
	})
}

func TestLines(t *testing.T) {
	sourcetest.RunRecords(t, Lines(), func(t *testing.T) *sourcetest.World {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		n := 0
		return &sourcetest.World{
			Options: tallyman.RecordOptions{Path: func(p string) string { return filepath.Join(root, p) }},
			Write: func(_ tallyman.RecordSource, text string) {
				n++
				// Under another name first: a file is there when it is whole.
				part := filepath.Join(root, "part")
				if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
					t.Error(err)
				}
				if err := os.Rename(part, filepath.Join(root, folder, fmt.Sprintf("%03d", n))); err != nil {
					t.Error(err)
				}
			},
		}
	})
}
