// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// EngineSocket is the socket of the engine that tests use.
const EngineSocket = "/var/run/docker.sock"

// Proxy stands between a program and the engine, so that a test can take the
// engine away without touching it.
type Proxy struct {
	t    testing.TB
	Path string // of its socket

	mu       sync.Mutex
	listener net.Listener
	stalled  bool
	conns    map[net.Conn]struct{}
}

// NewProxy makes a proxy that refuses connections until it is told to Pass.
func NewProxy(t testing.TB) *Proxy {
	dir, err := os.MkdirTemp("", "proxy") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{t: t, Path: filepath.Join(dir, "s"), conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() {
		p.Refuse()
		os.RemoveAll(dir)
	})
	return p
}

// Address is the proxy's, as DOCKER_HOST has it.
func (p *Proxy) Address() string { return "unix://" + p.Path }

// Pass forwards connections to the engine.
func (p *Proxy) Pass() { p.listen(false) }

// Stall accepts connections and never answers; open ones are cut.
func (p *Proxy) Stall() { p.listen(true) }

// Refuse closes the socket and cuts all connections.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.cut()
}

func (p *Proxy) cut() {
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) listen(stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = stalled
	p.cut()
	if p.listener != nil {
		return
	}
	l, err := net.Listen("unix", p.Path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.listener = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
}

func (p *Proxy) serve(c net.Conn) {
	p.mu.Lock()
	p.conns[c] = struct{}{}
	stalled := p.stalled
	p.mu.Unlock()
	if stalled {
		return // it stays open until it is cut
	}
	engine, err := net.Dial("unix", EngineSocket)
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	p.conns[engine] = struct{}{}
	p.mu.Unlock()
	go func() {
		_, _ = io.Copy(engine, c)
		_ = engine.Close()
	}()
	_, _ = io.Copy(c, engine)
	_ = c.Close()
}
