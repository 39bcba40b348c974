// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"testing"
	"time"

	"tallyman"
	"tallyman/source/sourcetest"
)

// logs is an engine that has the log of one container, and follows it.
type logs struct {
	tallyman.Engines

	mu    sync.Mutex
	at    []time.Time
	lines []string
	more  chan struct{} // closed with each line
}

func (l *logs) EngineLogs(ctx context.Context, _, _ string, since time.Time) (io.ReadCloser, error) {
	in, out := io.Pipe()
	go func() {
		for i := 0; ; {
			l.mu.Lock()
			var frame []byte
			if i < len(l.lines) && !l.at[i].Before(since) {
				text := l.at[i].UTC().Format("2006-01-02T15:04:05.000000000Z") + " " + l.lines[i] + "\n"
				frame = append(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(text))), text...)
			}
			waits, more := i == len(l.lines), l.more
			l.mu.Unlock()
			if waits {
				select {
				case <-ctx.Done():
					_ = out.CloseWithError(ctx.Err())
					return
				case <-more:
				}
				continue
			}
			i++
			if _, err := out.Write(frame); err != nil {
				return
			}
		}
	}()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	return in, nil
}

func TestContract(t *testing.T) {
	sourcetest.RunRecords(t, Kind(), func(t *testing.T) *sourcetest.World {
		l := &logs{more: make(chan struct{})}
		at := time.Now()
		c := container("a")
		c.Host = "harbor"
		return &sourcetest.World{
			Options:    tallyman.RecordOptions{Engines: l},
			Containers: []*tallyman.Container{c},
			Write: func(_ tallyman.RecordSource, text string) {
				l.mu.Lock()
				defer l.mu.Unlock()
				at = at.Add(time.Millisecond)
				l.at, l.lines = append(l.at, at), append(l.lines, text)
				close(l.more)
				l.more = make(chan struct{})
			},
		}
	})
}
