// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"time"

	"tallyman"
)

// Kept is a part of a scrape that costs too much to ask for each time: between two looks
// its last values are given again.
type Kept struct {
	// Every is the time between two looks.
	Every time.Duration
	at    time.Time
	list  []keptValue
}

type keptValue struct {
	desc   *tallyman.Desc
	value  float64
	labels []string
}

type keptSink struct {
	tallyman.ServiceSink
	list []keptValue
}

func (k *keptSink) Add(d *tallyman.Desc, v float64, labels ...string) {
	k.list = append(k.list, keptValue{d, v, append([]string(nil), labels...)})
}

// Give looks by f when it is time to, and gives what the last good look has found. After
// a look that failed, nothing is kept.
func (k *Kept) Give(s tallyman.ServiceSink, f func(tallyman.ServiceSink) error) error {
	if k.at.IsZero() || time.Since(k.at) >= k.Every {
		sink := &keptSink{ServiceSink: s}
		if err := f(sink); err != nil {
			k.at, k.list = time.Time{}, nil
			return err
		}
		k.at, k.list = time.Now(), sink.list
	}
	for _, one := range k.list {
		s.Add(one.desc, one.value, one.labels...)
	}
	return nil
}
