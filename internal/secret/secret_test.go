// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// No way of printing tells it, also inside of something else.
func TestIsNotTold(t *testing.T) {
	of := struct {
		Password Text
		Headers  map[string]Text
	}{"canary", map[string]Text{"X-Key": "canary"}}
	b, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(of), fmt.Sprintf("%v %+v %#v %s %q", of, of, of, of, of), fmt.Sprint(of.Password), string(b)} {
		if strings.Contains(text, "canary") || !strings.Contains(text, Hidden) {
			t.Errorf("got %s", text)
		}
	}
	if Text("").String() != "" {
		t.Error("an empty one is hidden")
	}
}
