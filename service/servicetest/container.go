// SPDX-License-Identifier: Apache-2.0

package servicetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/nsx"
	"tallyman/internal/testkit"
)

// Container is a real container, as tests of plugins reach into it: rights and bounds
// are those of the test, not those of the agent.
type Container struct {
	Inside
	t    testing.TB
	root string
	pid  int
}

var _ tallyman.Inside = (*Container)(nil)

// NewContainer looks at a running container of the machine's engine.
func NewContainer(t testing.TB, d *testkit.Docker, id string) *Container {
	t.Helper()
	pid, err := strconv.Atoi(d.Cmd("inspect", "-f", "{{.State.Pid}}", id))
	if err != nil || pid == 0 {
		t.Fatalf("container %s does not run: %v\n%s", id, err, d.Cmd("logs", id))
	}
	c := &Container{t: t, pid: pid, root: fmt.Sprintf("/proc/%d/root", pid)}
	c.C = tallyman.Container{ID: id, Name: strings.TrimPrefix(d.Cmd("inspect", "-f", "{{.Name}}", id), "/"), Pid: pid, State: tallyman.Running}
	c.F.Image = d.Cmd("inspect", "-f", "{{.Config.Image}}", id)
	for line := range strings.Lines(d.Cmd("inspect", "-f", "{{println .Path}}{{range .Args}}{{println .}}{{end}}", id)) {
		c.F.Command = append(c.F.Command, strings.TrimSpace(line))
	}
	c.Env = map[string]string{}
	for line := range strings.Lines(d.Cmd("inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", id)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			c.Env[k] = v
		}
	}
	c.Inside.Dial = c.dial
	c.Inside.Run = func(_ context.Context, argv []string, _ tallyman.ExecOptions) (tallyman.ExecResult, error) {
		out, err := d.May(append([]string{"exec", id}, argv...)...)
		code := 0
		if err != nil {
			code = 1
		}
		return tallyman.ExecResult{Code: code, Stdout: []byte(out)}, nil
	}
	c.Look()
	return c
}

// Look reads the processes and sockets of the container anew.
func (c *Container) Look() {
	c.F.Processes, c.F.Listening = nil, []tallyman.ServiceSocket{}
	out, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.pid))
	if err != nil {
		c.t.Fatal(err)
	}
	names, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || string(text) != string(out) {
			continue
		}
		dir := filepath.Dir(name)
		pid, _ := strconv.Atoi(filepath.Base(dir))
		comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		p := tallyman.ServiceProcess{Pid: pid, Name: strings.TrimSpace(string(comm)), Args: strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")}
		status, _ := os.ReadFile(filepath.Join(dir, "status"))
		for line := range strings.Lines(string(status)) {
			if words := strings.Fields(line); len(words) > 1 && words[0] == "NSpid:" {
				p.Inner, _ = strconv.Atoi(words[len(words)-1])
			}
		}
		c.F.Processes = append(c.F.Processes, p)
	}
	slices.SortFunc(c.F.Processes, func(a, b tallyman.ServiceProcess) int { return a.Inner - b.Inner })
	for _, name := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", c.pid, name))
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) > 3 && words[3] == "0A" {
				_, port, _ := strings.Cut(words[1], ":")
				n, _ := strconv.ParseUint(port, 16, 16)
				c.F.Listening = append(c.F.Listening, tallyman.ServiceSocket{Network: "tcp", IP: "0.0.0.0", Port: uint16(n)})
			}
		}
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", c.pid))
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 7 && words[3] == "00010000" && strings.HasPrefix(words[7], "/") {
			c.F.Listening = append(c.F.Listening, tallyman.ServiceSocket{Network: "unix", Path: words[7]})
		}
	}
}

// dial connects from the container's network.
func (c *Container) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network == "unix" {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(c.root, address))
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host).To4()
	if host == "localhost" {
		ip = net.IPv4(127, 0, 0, 1).To4()
	}
	if ip == nil {
		return nil, fmt.Errorf("the test does not know the host %s", host)
	}
	p, err := nsx.Open("/proc", c.pid, c.C.ID)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	fd, err := p.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	sa := &unix.SockaddrInet4{Port: n}
	copy(sa.Addr[:], ip)
	if err := unix.Connect(fd, sa); err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	return net.FileConn(f)
}

// ReadFile implements tallyman.Inside.
func (c *Container) ReadFile(name string) ([]byte, error) {
	st, err := c.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", name)
	}
	f, err := os.Open(c.inside(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 256<<10+1))
	if len(b) > 256<<10 {
		return nil, fmt.Errorf("%s: %w", name, tallyman.ErrLimit)
	}
	return b, err
}

// inside follows links as the container would.
func (c *Container) inside(name string) string {
	for range 8 {
		to, err := os.Readlink(filepath.Join(c.root, name))
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(name), to)
		}
		name = to
	}
	return filepath.Join(c.root, name)
}

// Stat implements tallyman.Inside.
func (c *Container) Stat(name string) (fs.FileInfo, error) { return os.Stat(c.inside(name)) }

// Glob implements tallyman.Inside.
func (c *Container) Glob(pattern string) (out []string) {
	names, _ := filepath.Glob(filepath.Join(c.root, pattern))
	for _, name := range names {
		out = append(out, strings.TrimPrefix(name, c.root))
	}
	return out
}

// Scrape opens the first instance that detection finds and scrapes it until it answers.
func (c *Container) Scrape(k tallyman.ServiceKind) *Sink {
	c.t.Helper()
	var s *Sink
	testkit.Eventually(c.t, 60*time.Second, k.Name+" answers", func() error {
		c.Look()
		found := k.Find(c)
		if len(found) == 0 {
			return fmt.Errorf("nothing is found; it runs %v", c.F.Processes)
		}
		var err error
		s, err = c.ScrapeWith(k, found[0])
		return err
	})
	return s
}

// ScrapeWith scrapes once, with a configuration.
func (c *Container) ScrapeWith(k tallyman.ServiceKind, config tallyman.ServiceConfig) (*Sink, error) {
	i, err := k.Open(c, config)
	if err != nil {
		return nil, err
	}
	defer i.Close()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	s := NewSink()
	return s, i.Scrape(ctx, s)
}
