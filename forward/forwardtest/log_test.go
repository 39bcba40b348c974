// SPDX-License-Identifier: Apache-2.0

package forwardtest

import (
	"testing"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The log in memory gives what a store gives.
func TestLog(t *testing.T) {
	l := NewLog()
	db := &tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: "db"}}}
	for i := range 10 {
		l.Append(web, tallyman.Record{Time: int64(i), Line: []byte(line(i))})
		l.Append(db, tallyman.Record{Line: []byte("db")})
	}
	l.Drop(4)
	got := storetest.ReadLog(t, l, 1, storetest.Of("name", "web"))
	if got.Mark != 20 || got.Missing() != 3 || len(got.Streams) != 1 {
		t.Errorf("got %+v", got)
	}
	for _, records := range got.Streams {
		if text := string(records[0].Line); len(records) != 8 || text != line(2) {
			t.Errorf("got %d records from %s", len(records), text)
		}
	}
}
