// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// ReadNumber reads a file that holds one number.
func ReadNumber(t testing.TB, name string) float64 {
	t.Helper()
	return Number(t, strings.TrimSpace(ReadText(t, name)))
}

// Number reads a number.
func Number(t testing.TB, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ReadKeys reads a file of "key value" lines; a value that is no number is
// left out.
func ReadKeys(t testing.TB, name string) map[string]float64 {
	t.Helper()
	m := map[string]float64{}
	for line := range strings.Lines(ReadText(t, name)) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		if v, err := strconv.ParseFloat(f[1], 64); err == nil {
			m[f[0]] = v
		}
	}
	return m
}

// ReadText reads a small file of the kernel.
func ReadText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ReadKeysWithUnit reads a file of "key: value unit" lines, like /proc/meminfo.
func ReadKeysWithUnit(t testing.TB, name string) map[string]float64 {
	t.Helper()
	m := map[string]float64{}
	for line := range strings.Lines(ReadText(t, name)) {
		key, rest, ok := strings.Cut(line, ":")
		if f := strings.Fields(rest); ok && len(f) > 0 {
			m[key] = Number(t, f[0])
		}
	}
	return m
}
