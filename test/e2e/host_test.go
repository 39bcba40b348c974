// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"tallyman/internal/testkit"
)

// hungry is what a process calls itself that the kernel kills: markup, and the kernel's own words.
const hungry = `<i>a,pid=1,uid=`

func TestHostPage(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	d.Start(compose(project, "api", "--cpus", "0.1"), "sh", "-c", "while :; do :; done")
	talks := d.Start([]string{"--name", d.Name("talks")}, "sh", "-c", "yes 'a line of a container that says much' | head -n 200000; exec sleep 600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	waitFor(t, p, project+"-api-1")
	waitFor(t, p, talks)
	proxy := testkit.NewProxy(t)
	proxy.Pass()
	bare := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", proxy.Address(), "--interval", "1s", "--set", "sources.enginemetrics.every=0")
	hog := d.Name("hog")
	walk(t, "host.mjs", given(p, map[string]any{
		"project": project, "workload": project + "/api/1", "talks": d.Name("talks"), "hog": hog, "hungry": hungry,
		"bare": map[string]string{"url": bare.URL, "token": bare.Token},
	}), map[string]action{
		"stall": func([]string) (string, error) {
			proxy.Stall()
			return "", nil
		},
		"hog": func([]string) (string, error) {
			return waitFor(t, p, d.Start([]string{"--name", hog, "-m", "16m", "--memory-swap", "16m"}, "sh", "-c", "sleep 1; printf '"+hungry+"' >/proc/$$/comm; x=$(yes | head -c 90000000); :")).ID, nil
		},
	})
}
