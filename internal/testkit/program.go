// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build compiles the program once per test binary. TEST_TALLYMAN_BINARY names one
// that is built already.
var build = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("TEST_TALLYMAN_BINARY"); b != "" {
		return b, nil
	}
	dir, err := os.MkdirTemp("", "tallyman-build-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "tallyman")
	cmd := exec.Command("go", "build", "-o", name, "tallyman/cmd/tallyman")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tallyman: %w\n%s", err, out)
	}
	return name, nil
})

// Binary is the program's file.
func Binary(t testing.TB) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// Client asks a running tallyman.
type Client struct {
	t     testing.TB
	URL   string // http://127.0.0.1:port, or https:// where it serves that
	Token string
	log   fmt.Stringer
}

// Program is a running tallyman.
type Program struct {
	Client
	cmd  *exec.Cmd
	text *logBuffer
	done chan struct{}
	Data string
	Link string // the first line that it printed
}

// logBuffer keeps the end of what a program logs.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if len(l.text) > 1<<20 {
		l.text = l.text[len(l.text)-1<<19:]
	}
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// DataDir is a folder with the rights that the program's own has.
func DataDir(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// StartProgram runs tallyman on a free port with its data under data, and
// stops it at the end of the test. It waits until it is ready.
func StartProgram(t testing.TB, data string, args ...string) *Program {
	t.Helper()
	return StartProgramWith(t, nil, data, args...)
}

// StartProgramWith is StartProgram with more in its environment.
func StartProgramWith(t testing.TB, env []string, data string, args ...string) *Program {
	t.Helper()
	return startProgram(t, nil, env, data, args)
}

// StartProgramVia is StartProgram through a command that runs what follows it in its
// place, as unshare does.
func StartProgramVia(t testing.TB, via []string, data string, args ...string) *Program {
	t.Helper()
	return startProgram(t, via, nil, data, args)
}

func startProgram(t testing.TB, via, env []string, data string, args []string) *Program {
	t.Helper()
	text := &logBuffer{}
	p := &Program{Client: Client{t: t, log: text}, text: text, Data: data, done: make(chan struct{})}
	argv := slices.Concat(via, []string{Binary(t), "run", "--listen", "127.0.0.1:0", "--data", data}, args)
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stderr = p.text
	p.cmd.Env = append(os.Environ(), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("tallyman's log:\n%s", p.log)
		}
	})
	lines := bufio.NewReader(out)
	p.Link, err = lines.ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		close(p.done)
		t.Fatalf("tallyman printed no link: %v\n%s", err, p.log)
	}
	p.Link = strings.TrimSpace(p.Link)
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = p.cmd.Wait()
		close(p.done)
	}()
	u, err := url.Parse(p.Link)
	if err != nil {
		t.Fatal(err)
	}
	p.URL = u.Scheme + "://" + u.Host
	p.Token = strings.TrimSpace(ReadText(t, filepath.Join(data, "token")))
	p.ready()
	return p
}

// Shell runs a subcommand that asks the running program, and gives what it
// prints; it is stopped after so long.
func (p *Program) Shell(within time.Duration, args ...string) (string, error) {
	p.t.Helper()
	binary := Binary(p.t)
	_, at, _ := strings.Cut(p.URL, "://")
	return Run(within, nil, append([]string{binary, args[0], "--listen", at, "--data", p.Data}, args[1:]...)...)
}

// RefusesToStart runs tallyman, which must end by itself and with an error
// within ten seconds, and returns what it says.
func RefusesToStart(t testing.TB, args ...string) string {
	t.Helper()
	out, err := Run(10*time.Second, nil, append([]string{Binary(t), "run"}, args...)...)
	if err == nil {
		t.Errorf("it ended without an error: %s", out)
	}
	return out
}

// ready waits until it is.
func (c *Client) ready() {
	c.t.Helper()
	Eventually(c.t, 20*time.Second, "tallyman is ready", func() error {
		status, body := c.Get("/-/ready")
		if status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

// Log is what the program has logged so far.
func (p *Program) Log() string { return p.text.String() }

// Pid is the program's.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Stop asks the program to end and waits for it; twice is harmless.
func (p *Program) Stop() { p.end(syscall.SIGTERM) }

// Kill ends the program without warning.
func (p *Program) Kill() { p.end(syscall.SIGKILL) }

func (p *Program) end(s syscall.Signal) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.t.Errorf("tallyman did not end within 15 s of %v", s)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// anyCertificate asks tallymen that have made theirs themselves, too.
var anyCertificate = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}

// Get asks with the token.
func (c *Client) Get(path string) (status int, body string) {
	c.t.Helper()
	return c.Do(http.MethodGet, path, nil)
}

// Do sends a request with the token; body is a form when it is not nil.
func (c *Client) Do(method, path string, form url.Values) (status int, body string) {
	c.t.Helper()
	// So late a program answers that is short of memory on a busy machine.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var in io.Reader
	if form != nil {
		in = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := anyCertificate.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", method, path, err, c.log)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(b)
}

// JSON asks for path and decodes the answer into v.
func (c *Client) JSON(path string, v any) {
	c.t.Helper()
	status, body := c.Get(path)
	if status != http.StatusOK {
		c.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), v); err != nil {
		c.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// Point is a value at a time.
type Point struct {
	Time  time.Time
	Value float64
}

// Query evaluates a PromQL expression now and returns the points of each
// series by its labels as JSON: one for a vector, all for a range selector.
func (c *Client) Query(expr string) map[string][]Point {
	c.t.Helper()
	var a struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  []any
				Values [][]any
			}
		}
	}
	c.JSON("/api/v1/query?query="+url.QueryEscape(expr), &a)
	out := map[string][]Point{}
	for _, r := range a.Data.Result {
		key, err := json.Marshal(r.Metric)
		if err != nil {
			c.t.Fatal(err)
		}
		if r.Value != nil {
			r.Values = append(r.Values, r.Value)
		}
		for _, v := range r.Values {
			f, err := strconv.ParseFloat(v[1].(string), 64)
			if err != nil {
				c.t.Fatal(err)
			}
			out[string(key)] = append(out[string(key)], Point{time.UnixMilli(int64(v[0].(float64) * 1000)), f})
		}
	}
	return out
}

// One is the only series of an expression.
func (c *Client) One(expr string) []Point {
	c.t.Helper()
	got := c.Query(expr)
	if len(got) != 1 {
		c.t.Fatalf("%s has %d series, want 1: %v", expr, len(got), got)
	}
	for _, points := range got {
		return points
	}
	return nil
}

// Slow is by how much this machine is slower than one with a processor of its
// own: 1, or TEST_SLOW for an emulated one.
func Slow() int {
	if slow, err := strconv.Atoi(os.Getenv("TEST_SLOW")); err == nil && slow > 1 {
		return slow
	}
	return 1
}

// patience is by how much longer than anybody should have to wait for it a condition is
// waited for: the suites share few processors with each other. It costs nothing where the
// condition comes true.
const patience = 3

// Eventually waits until check is content, on a slow machine so much longer.
func Eventually(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	within *= patience * time.Duration(Slow())
	deadline := time.Now().Add(within)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s: %v", within, what, err)
		}
		time.Sleep(pause)
	}
}
