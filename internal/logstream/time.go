// SPDX-License-Identifier: Apache-2.0

package logstream

import (
	"math"
	"time"
)

// Nanos is a time as records have it, nanoseconds since the epoch. A time that is
// too early or too late for that (before 1677, after 2262) is the first or the
// last that can be told.
func Nanos(t time.Time) int64 { return nanos(t.Unix(), int64(t.Nanosecond())) }

func nanos(seconds, rest int64) int64 {
	const most = math.MaxInt64 / 1_000_000_000
	switch {
	case seconds >= most:
		return math.MaxInt64 - 1 // a query's end is not part of it
	case seconds <= -most:
		return math.MinInt64
	}
	return seconds*1_000_000_000 + rest
}

// ParseTime reads RFC 3339 with up to nine digits of a fraction, in UTC as
// engines write it; other zones by the slow way. ok is false for anything else.
func ParseTime(b []byte) (ns int64, ok bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	if b[len(b)-1] != 'Z' {
		t, err := time.Parse(time.RFC3339Nano, string(b))
		return Nanos(t), err == nil
	}
	number := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			if c-'0' > 9 {
				ok = false
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	ok = true
	y, m, d := number(0, 4), number(5, 7), number(8, 10)
	h, mi, s := number(11, 13), number(14, 16), number(17, 19)
	frac := 0
	if rest := b[19 : len(b)-1]; len(rest) > 0 {
		if rest[0] != '.' || len(rest) > 10 || len(rest) < 2 {
			return 0, false
		}
		frac = number(20, len(b)-1)
		for range 10 - len(rest) {
			frac *= 10
		}
	}
	if !ok || m < 1 || m > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60 {
		return 0, false
	}
	return nanos(days(y, m, d)*86400+int64(h*3600+mi*60+s), int64(frac)), true
}

// days since 1 January 1970 of a day in the Gregorian calendar, by counting from
// March, so that a leap day is the last of its year.
func days(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	ofEra := y - era*400
	ofYear := (153*(m-3)+2)/5 + d - 1
	return int64(era)*146097 + int64(ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}
