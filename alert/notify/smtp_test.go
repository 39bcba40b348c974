// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bufio"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/alertmanager/notify"
)

// mailbox is a server of mail without TLS. It gives what it was told.
func mailbox(t *testing.T) (address string, told func() string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got strings.Builder
	var wait sync.WaitGroup
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		say := func(s string) { _, _ = c.Write([]byte(s + "\r\n")) }
		say("220 here")
		data := false
		for in := bufio.NewScanner(c); in.Scan(); {
			line := in.Text()
			mu.Lock()
			got.WriteString(line + "\n")
			mu.Unlock()
			switch {
			case data && line == ".":
				data = false
				say("250 taken")
			case data:
			case strings.HasPrefix(line, "EHLO"):
				say("250-here\r\n250 AUTH PLAIN")
			case line == "DATA":
				data = true
				say("354 go on")
			case line == "QUIT":
				say("221 bye")
				return
			case strings.HasPrefix(line, "AUTH"):
				say("235 welcome")
			default:
				say("250 ok")
			}
		}
	}
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wait.Wait()
	})
	return l.Addr().String(), func() string { mu.Lock(); defer mu.Unlock(); return got.String() }
}

func TestSMTP(t *testing.T) {
	at, told := mailbox(t)
	build := Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler)}
	r, err := parse(t, "smtp://me:"+canary+"@"+at+"/?from=a@example.org&to=b@example.org,c@example.org&tls=off").Build(build)
	if err != nil {
		t.Fatal(err)
	}
	a := firing("Crash", map[string]string{"host": "vm\r\nBcc: x@evil.example\r\n\r\n<script>"})
	if v := r.Notify(inGroup(notify.ReasonFirstNotification), a); v.Err() != nil {
		t.Fatal(v.Err())
	}
	mail := told()
	for _, want := range []string{"RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>", "Subject: ", "Crash is so", "text/plain", "text/html", "&lt;script&gt;"} {
		if !strings.Contains(mail, want) {
			t.Errorf("%q is not in\n%s", want, mail)
		}
	}
	if i, j := strings.Index(mail, "text/plain"), strings.Index(mail, "text/html"); i > j {
		t.Error("the text does not come first")
	}
	if strings.Contains(mail, "\nBcc:") {
		t.Errorf("a name made a header:\n%s", mail)
	}
	// Without tls=off a server that speaks none gets neither a password nor a message.
	r, err = parse(t, "smtp://me:"+canary+"@"+at+"/?from=a@example.org&to=b@example.org").Build(build)
	if err != nil {
		t.Fatal(err)
	}
	before := len(told())
	if v := r.Notify(inGroup(notify.ReasonFirstNotification), a); v.Err() == nil || leak(v.Err().Error()) {
		t.Errorf("without TLS it sent: %v", v.Err())
	}
	if after := told()[before:]; strings.Contains(after, "AUTH") || strings.Contains(after, "DATA") {
		t.Errorf("without TLS it said\n%s", after)
	}
}
