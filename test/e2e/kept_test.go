// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// strangers starts containers whose labels, environment and commands are hostile,
// and returns their names. They are the replicas number of their services, so that
// those of two tests are not one workload.
func strangers(d *testkit.Docker, number string) (names []string) {
	for i, text := range []string{script, image, unseen} {
		name := d.Name(fmt.Sprintf("hostile%d", i))
		d.Start([]string{
			"--name", name,
			"--label", "com.docker.compose.project=" + text, "--label", "com.docker.compose.service=" + image, "--label", "com.docker.compose.container-number=" + number,
			"--label", script + "=" + image, "--label", unseen + "=" + unseen, "--label", "note=" + text,
			"--env", image + "=" + link, "--env", "NOTE=" + script,
			"--user", "0:0", "--workdir", "/tmp/" + image, "--hostname", "h",
		}, "sh", "-c", "sleep 600", script, unseen)
		names = append(names, name)
	}
	return names
}

func TestEvents(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	hostile := strangers(d, "1")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	api := d.Start(compose(project, "api", "-m", "64m", "--restart", "no"), "sh", "-c", "trap : USR1; while :; do sleep 3600 & wait; done")
	waitFor(t, p, project+"-api-1")
	hog := d.Name("hog")
	known := waitFor(t, p, d.Start([]string{"--name", hog, "-m", "16m", "--memory-swap", "16m"}, "sh", "-c", "sleep 1; exec tail /dev/zero"))
	testkit.Eventually(t, 20*time.Second, "the greedy one is killed", func() error {
		if c := waitFor(t, p, hog); c.State != "exited" {
			return fmt.Errorf("it is %s", c.State)
		}
		return nil
	})
	walk(t, "events.mjs", given(p, map[string]any{
		"project": project, "api": project + "-api-1", "id": api, "hog": map[string]string{"name": hog, "workload": known.Workload},
		"hostile": hostile, "escaped": []string{image, written},
	}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
		"many": func([]string) (string, error) {
			// Each signal is an event.
			return testkit.Run(90*time.Second, nil, "sh", "-c", "for n in $(seq 250); do docker kill -s USR1 "+project+"-api-1 >/dev/null; done")
		},
	})
}

func TestConfiguration(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	hostile := strangers(d, "2")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	// As Compose makes them; what it makes anew has the same labels and another hash.
	service := func(n int, hash string, options ...string) []string {
		return append([]string{
			"--name", fmt.Sprintf("%s-api-%d", project, n),
			"--label", "com.docker.compose.project=" + project, "--label", "com.docker.compose.service=api",
			"--label", fmt.Sprint("com.docker.compose.container-number=", n), "--label", "com.docker.compose.config-hash=" + hash,
		}, options...)
	}
	argv := []string{"sh", "-c", "trap 'exit 3' TERM; while :; do sleep 3600 & wait; done"}
	first, second := strings.Repeat("a1b2", 16), strings.Repeat("c3d4", 16)
	for n := 1; n <= 3; n++ {
		waitFor(t, p, d.Start(service(n, first, "-m", "64m", "--env", "DB_PASSWORD=hunter2", "--env", "MODE=fast"), argv...))
	}
	d.Start(compose(project, "calm"), "sleep", "600")
	gone := d.Start([]string{"--name", d.Name("old"), "-m", "32m"}, "sleep", "600")
	settled := func(name string, n int) {
		t.Helper()
		testkit.Eventually(t, 20*time.Second, name+" is known", func() error {
			var a struct{ Snapshots []struct{ Hash string } }
			if p.JSON("/api/tallyman/v1/snapshots?container="+name, &a); len(a.Snapshots) < n {
				return fmt.Errorf("%d snapshots", len(a.Snapshots))
			}
			return nil
		})
	}
	for n := 1; n <= 3; n++ {
		settled(fmt.Sprintf("%s-api-%d", project, n), 1)
	}
	for _, name := range append([]string{project + "-calm-1", d.Name("old")}, hostile...) {
		settled(name, 1)
	}
	d.Cmd("rm", "-f", gone)
	walk(t, "configuration.mjs", given(p, map[string]any{
		"project": project, "api": project + "-api-1", "old": d.Name("old"), "hostile": hostile, "escaped": []string{image, written}, "hashes": []string{first[:8], second[:8]},
	}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
		// Another limit, another capability, another secret: three changes.
		"anew": func([]string) (string, error) {
			if out, err := d.May("rm", "-f", project+"-api-1"); err != nil {
				return out, err
			}
			return d.Start(service(1, second, "-m", "128m", "--cap-add", "NET_ADMIN", "--env", "DB_PASSWORD=hunter3", "--env", "MODE=fast"), argv...), nil
		},
		"kill": func([]string) (string, error) { return d.May("exec", "-d", project+"-api-1", "kill", "-TERM", "1") },
	})
}
