// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"encoding/json"
	"testing"

	"tallyman"
	"tallyman/source/sourcetest"
)

// told is an engine as the suite has one.
type told struct {
	tallyman.Engines
	*engine
}

func (e told) EngineDocument(ctx context.Context, name, id string) (json.RawMessage, error) {
	return e.container(ctx, name, id)
}

func (e told) EngineImage(ctx context.Context, name, id string) (json.RawMessage, error) {
	return e.image(ctx, name, id)
}

func TestContract(t *testing.T) {
	sourcetest.RunRecords(t, Kind(), func(t *testing.T) *sourcetest.World {
		e := newEngine()
		c := container("a", "web")
		c.Host = "harbor"
		e.put("a", "", `"Labels":{"text":"first"}`)
		return &sourcetest.World{
			Options:    tallyman.RecordOptions{Engines: told{engine: e}, Data: t.TempDir()},
			Containers: []*tallyman.Container{c},
			Write: func(s tallyman.RecordSource, text string) {
				e.put("a", "", `"Labels":{"text":"`+text+`"}`)
				if s != nil {
					s.(tallyman.EventObserver).ObserveEvent(event("update", "a"))
				}
			},
		}
	})
}
