// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/service/servicetest"
)

func TestCommand(t *testing.T) {
	got, err := Command(servicetest.Config("COMMAND", `sh -c 'test -e "/a b"' | $x`), "COMMAND")
	if d := cmp.Diff([]string{"sh", "-c", `test -e "/a b"`, "|", "$x"}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for _, text := range []string{"", " ", `a 'b`} {
		if got, err := Command(servicetest.Config("COMMAND", text), "COMMAND"); err == nil {
			t.Errorf("%q is %q", text, got)
		}
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{`PING\r\n`: "PING\r\n", `say "hi"`: `say "hi"`, `a\\b\0\x41`: "a\\b\x00A", "ü": "ü"} {
		if got, err := Unescape(text); got != want || err != nil {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	if _, err := Unescape(`a\q`); err == nil {
		t.Error(`\q is read`)
	}
}
