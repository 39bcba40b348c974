// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDockerfile(t *testing.T) {
	got, err := Labels(`FROM debian
# LABEL tallyman.plugins=none
LABEL com.coscale.monitoring='[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/script.sh"]}}]'
LABEL maintainer="me" \
  tallyman.plugins="[{\"PluginType\":\"REDIS\"}]" other=x
label tallyman.plugins.old [{"PluginType":"NGINX"}]
RUN echo LABEL tallyman.plugins=x
LABEL tallyman.plugins.twice=a
LABEL tallyman.plugins.twice=none
`)
	if err != nil {
		t.Fatal(err)
	}
	want := [][2]string{
		{"com.coscale.monitoring", `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/script.sh"]}}]`},
		{"tallyman.plugins", `[{"PluginType":"REDIS"}]`},
		{"tallyman.plugins.old", `[{PluginType:NGINX}]`}, // as the engine has it: its quotes are gone
		{"tallyman.plugins.twice", "none"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if _, err := Labels(`LABEL tallyman.plugins='[{"PluginType"`); err == nil {
		t.Error("a quote that is not closed is taken")
	}
}
