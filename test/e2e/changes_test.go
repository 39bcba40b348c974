// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// One container becomes loud at a known moment, another stays calm. Nothing else is watched: what
// moved most is to be the loud one.
func TestChanges(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	d.Start(compose(project, "loud", "--cpus", "0.4"), "sh", "-c", `i=0; while :; do i=$((i+1)); echo "GET /cart/$i took $((i%9))ms"
		if [ -f /go ]; then [ "$x" ] || x=$(head -c 60000000 /dev/zero | tr '\0' a); echo "level=error msg=\"upstream <script>globalThis.__xss=1</script> not closed\" id=$i"; j=0; while [ $j -lt 150000 ]; do j=$((j+1)); done
		else sleep 0.3; fi; done`)
	d.Start(compose(project, "calm"), "sh", "-c", "while :; do echo tick; sleep 0.3; done")
	p := testkit.StartProgramWith(t, []string{"TALLYMAN_INCLUDE=name:" + project + "*"}, testkit.DataDir(t), "--interval", "1s")
	for _, name := range []string{"loud", "calm"} {
		waitFor(t, p, project+"-"+name+"-1")
	}
	walk(t, "changes.mjs", given(p, map[string]any{"project": project}), map[string]action{
		"go": func([]string) (string, error) {
			out, err := d.May("exec", project+"-loud-1", "sh", "-c", ": > /go")
			if err == nil {
				testkit.Eventually(t, 30*time.Second, "the loud one has its memory", func() error {
					if c := waitFor(t, p, project+"-loud-1"); c.Now.Memory == nil || *c.Now.Memory < 50<<20 {
						return fmt.Errorf("%+v", c.Now)
					}
					return nil
				})
			}
			return out, err
		},
	})
}
