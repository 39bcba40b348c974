// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"archive/tar"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Agent is a tallyman that runs in a container.
type Agent struct {
	Client
	ID string
}

// containerLog is what a container has printed.
type containerLog struct {
	d  *Docker
	id string
}

// String asks the engine.
func (l containerLog) String() string {
	out, err := l.d.May("logs", "--tail", "50", l.id)
	if err != nil {
		return err.Error()
	}
	return out
}

// AgentImage is made of the program under test and the Dockerfile of the tree.
const AgentImage = "tallyman-test/agent"

// BuildAgent makes AgentImage.
func (d *Docker) BuildAgent(dockerfile string) {
	d.t.Helper()
	binary, err := build()
	if err != nil {
		d.t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, from := range map[string]string{"Dockerfile": dockerfile, "tallyman": binary} {
		b, err := os.ReadFile(from)
		if err != nil {
			d.t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(b))}); err != nil {
			d.t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		d.t.Fatal(err)
	}
	if out, err := Run(2*time.Minute, buf.Bytes(), "docker", "build", "-q", "-t", AgentImage, "-"); err != nil {
		d.t.Fatalf("docker build: %s", out)
	}
}

// StartAgent runs AgentImage; options come before the image, args after it. Its
// port is published on a free one of loopback. It waits until the agent is
// ready.
func (d *Docker) StartAgent(options []string, args ...string) *Agent {
	d.t.Helper()
	data := DataDir(d.t)
	argv := append([]string{"run", "-d", "--label", d.Label, "-p", "127.0.0.1::8420", "-v", data + ":/data"}, options...)
	a := &Agent{ID: d.Cmd(append(append(argv, AgentImage), args...)...)}
	a.t, a.log = d.t, containerLog{d, a.ID}
	Eventually(d.t, 20*time.Second, "the agent has printed its link", func() error {
		if !strings.Contains(a.log.String(), "/login#code=") {
			return fmt.Errorf("it printed %q", a.log.String())
		}
		return nil
	})
	a.URL = "http://" + strings.TrimSpace(strings.Split(d.Cmd("port", a.ID, "8420/tcp"), "\n")[0])
	a.Token = strings.TrimSpace(ReadText(d.t, filepath.Join(data, "token")))
	a.ready()
	return a
}

// KillAndStart ends the agent with kill -9 and starts it again with its data.
func (a *Agent) KillAndStart(d *Docker) {
	d.t.Helper()
	d.Cmd("kill", "-s", "KILL", a.ID)
	d.Cmd("start", a.ID)
	a.URL = "http://" + strings.TrimSpace(strings.Split(d.Cmd("port", a.ID, "8420/tcp"), "\n")[0])
	Eventually(d.t, 20*time.Second, "the agent listens again", func() error {
		resp, err := http.Get(a.URL + "/-/healthy")
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	})
	a.ready()
}
