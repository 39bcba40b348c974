// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// journalctl stands for the real one, since not every machine has a journal: once
// a file is there, it has one line of a unit.
const journalctl = `#!/bin/sh
while [ ! -e %q ]; do sleep 0.1; done
printf '__CURSOR=s=1;i=1;b=1;m=1;t=1;x=1\n__REALTIME_TIMESTAMP=%%s000000\n_SYSTEMD_UNIT=docker.service\nPRIORITY=4\n_TRANSPORT=stdout\nMESSAGE=%%s\n\n' "$(date +%%s)" 'level=warning msg="cleaning up after shim"'
exec sleep 600
`

// Lines of files of the host, of files inside of containers and of units, beside
// those of containers.
func TestLogFiles(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	logged := func(service, name, script string) {
		d.Start(compose(project, service, "--label", "tallyman.logs=/app/"+name), "sh", "-c", "mkdir /app; "+script+"; sleep 600")
	}
	logged("api", "api.log", `echo 'level=info msg="ready to serve"'
		printf 'ERROR java.lang.IllegalStateException: pool exhausted\n\tat shop.Pool.take(Pool.java:118)\n\tat shop.Api.checkout(Api.java:41)\nCaused by: java.net.SocketTimeoutException\n\t... 12 more\n' >&2
		echo 'level=warn msg="order written late" id=7' >/app/api.log`)
	logged("db", "db.log", `echo 'level=info msg="accepting connections"'; echo 'level=info msg="checkpoint done"' >/app/db.log`)

	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	joined := write("joined.log", "2026 boom\n\tat one\n\tat two\n2027 calm\n")
	host := write("auth.log", "level=error msg=\"login refused\"\nlevel=info msg=\"session opened\"\n")
	// Names of files come from strangers, too.
	hostile := write("<img src=x onerror=globalThis.__xss=1>\u202e.log", "level=info msg=\"of a hostile file\"\n")
	config := write("tallyman.yaml", fmt.Sprintf("sources: {journald: {via: journalctl}}\nlogs:\n  push: true\n  files:\n    - {path: %q, start: '^\\d'}\n    - {path: %q}\n", joined, filepath.Join(folder, "*.log")))
	shim := filepath.Join(folder, "shim")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "journalctl"), fmt.Appendf(nil, journalctl, shim), 0o700); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgramWith(t, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, testkit.DataDir(t), "--interval", "1s", "--config", config)
	testkit.Eventually(t, 20*time.Second, "all files are read", func() error {
		if n := p.Count(fmt.Sprintf(`{source="file", filename=~".*(%s|/app/).*"}`, folder)); n < 7 {
			return fmt.Errorf("%d lines", n)
		}
		return nil
	})
	walk(t, "logfiles.mjs", given(p, map[string]any{"project": project, "file": host, "hostile": hostile, "joined": joined, "shim": shim}), nil)
}
