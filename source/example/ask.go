// SPDX-License-Identifier: Apache-2.0

package example

import (
	"context"
	"errors"
	"sync"
	"time"

	"tallyman"
)

var answerSeconds = &tallyman.Desc{Name: "container_example_answer_seconds", Type: tallyman.Gauge, Unit: "seconds",
	Help: "How long the engine took to tell of the container", Origin: tallyman.Origin{V1: "GET /containers/<id>/json"}}

// AskOptions are the source's own. What has tags is a setting, sources.<name>.every.
type AskOptions struct {
	// Every is the time between two questions about a container.
	Every time.Duration `yaml:"every" doc:"Time between two questions about a container."`
}

// Ask is a source of a number that has to be asked for.
func Ask() tallyman.SourceKind {
	defaults := AskOptions{Every: time.Minute}
	return tallyman.SourceKind{
		Name:    "example_ask",
		Summary: "How long the engine takes to tell of each container",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Metrics: []*tallyman.Desc{answerSeconds},
		Options: defaults,
		Poll: func(o tallyman.SourceOptions) (tallyman.Poller, error) {
			if o.Engines == nil {
				return nil, errors.New("there is no engine to ask")
			}
			return &asker{o.Engines, tallyman.Own(o.Own, defaults)}, nil
		},
	}
}

type asker struct {
	engines tallyman.Engines
	own     AskOptions
}

var (
	_ tallyman.Poller = (*asker)(nil)
	_ tallyman.Poll   = (*question)(nil)
)

// Plan says when and how often; attach keeps to it.
func (a *asker) Plan() tallyman.PollPlan {
	return tallyman.PollPlan{Every: a.own.Every, Deadline: 5 * time.Second, Retry: 5 * time.Second, RetryMost: a.own.Every, Hold: 2, Parallel: 4}
}

// Open begins with a container.
func (a *asker) Open(t *tallyman.Target) (tallyman.Poll, error) {
	return &question{of: a, target: t, series: t.Series(answerSeconds)}, nil
}

// Close has nothing to close.
func (*asker) Close() error { return nil }

// question is asked about one container, by one goroutine.
type question struct {
	of     *asker
	target *tallyman.Target
	series *tallyman.Series

	mu  sync.Mutex
	err error // of the last answer
}

// Poll asks once.
func (q *question) Poll(ctx context.Context, b *tallyman.Batch) error {
	began := time.Now()
	_, err := q.of.engines.EngineDocument(ctx, q.target.Container.Engine, q.target.ID)
	if err == nil {
		b.Add(q.series, time.Since(began).Seconds())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
	return err
}

// Absences say why there is no value. They are asked for while Poll runs.
func (q *question) Absences() []tallyman.Absence {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		return nil
	}
	return []tallyman.Absence{{What: "answer of the engine", Reason: "The engine did not give it: " + q.err.Error() + "."}}
}

// Close has nothing to close.
func (*question) Close() {}
