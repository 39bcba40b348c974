// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// durationUnits from the longest to the shortest.
var durationUnits = []struct {
	name string
	d    time.Duration
}{
	{"y", 365 * 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
	{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1},
}

// ParseDuration reads 5m, 1h30m, 1.5s, 1d, 1w, 1y, as LogQL has them.
func ParseDuration(s string) (time.Duration, bool) {
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if s == "0" {
		return 0, true
	}
	total := 0.0
	for s != "" {
		n := 0
		for n < len(s) && (isDigit(s[n]) || s[n] == '.') {
			n++
		}
		v, err := strconv.ParseFloat(s[:n], 64)
		if err != nil {
			return 0, false
		}
		s = s[n:]
		n = 0
		for n < len(s) && !isDigit(s[n]) && s[n] != '.' {
			n++
		}
		unit := s[:n]
		if unit == "µs" || unit == "μs" {
			unit = "us"
		}
		s = s[n:]
		found := false
		for _, u := range durationUnits {
			if u.name == unit {
				total += v * float64(u.d)
				found = true
			}
		}
		if !found || total > math.MaxInt64 {
			return 0, false
		}
	}
	if neg {
		total = -total
	}
	return time.Duration(total), true
}

// formatDuration prints what ParseDuration reads, in whole units.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	for _, u := range durationUnits {
		if u.name == "y" || u.name == "w" {
			if d%u.d != 0 {
				continue // 365 days are more readable than a mixture
			}
		}
		if n := d / u.d; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteString(u.name)
			d -= n * u.d
		}
	}
	return b.String()
}

// parseBytes reads 10KB, 1.5MiB, 512B: K is 1000, Ki is 1024.
func parseBytes(s string) (float64, bool) {
	n := 0
	for n < len(s) && (isDigit(s[n]) || s[n] == '.' || s[n] == ',') {
		n++
	}
	number := s[:n]
	if strings.IndexByte(number, ',') >= 0 {
		number = strings.ReplaceAll(number, ",", "")
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, false
	}
	unit := strings.TrimSpace(s[n:])
	if unit == "" {
		return math.Floor(v), true
	}
	base := 1000.0
	if len(unit) > 3 {
		return 0, false
	}
	letter := lower(unit[0])
	rest := unit[1:]
	if len(rest) > 0 && lower(rest[0]) == 'i' && letter != 'b' {
		base, rest = 1024, rest[1:]
	}
	if rest != "" && (lower(rest[0]) != 'b' || len(rest) > 1 || letter == 'b') {
		return 0, false
	}
	at := strings.IndexByte("bkmgtpe", letter)
	if at < 0 {
		return 0, false
	}
	return math.Floor(v * math.Pow(base, float64(at))), true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// parseNumber reads a number of the language.
func parseNumber(s string) (float64, bool) {
	for i := 0; i < len(s); i++ { // 1_000: a _ stands between two digits
		if s[i] == '_' && (i == 0 || i == len(s)-1 || !isDigit(s[i-1]) || !isDigit(s[i+1])) {
			return 0, false
		}
	}
	s = strings.ReplaceAll(s, "_", "")
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return v, true
	}
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return float64(v), true
	}
	return 0, false
}

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
