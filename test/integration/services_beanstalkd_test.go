// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/beanstalkd"
	"tallyman/service/servicetest"
)

func TestBeanstalkd(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("beanstalkd", "beanstalkd")
	id := d.StartDebian(image, `mkdir -p /data; exec beanstalkd -l 127.0.0.1 -p 11301 -b /data -z 4096`, nil)
	if ports := d.Cmd("port", id); ports != "" {
		t.Fatalf("it publishes %s", ports)
	}
	c := servicetest.NewContainer(t, d, id)
	c.Scrape(beanstalkd.Kind())
	w := newQueue(t, c)
	for _, one := range []struct{ command, want string }{
		{"use mail", "USING mail"}, {"put 1 0 600 2\r\nhi", "INSERTED 1"}, {"put 2000 0 600 2\r\nhi", "INSERTED 2"}, {"put 3000 0 600 2\r\nhi", "INSERTED 3"}, {"put 1 3600 600 2\r\nhi", "INSERTED 4"},
		{"watch mail", "WATCHING 2"}, {"reserve-with-timeout 0", "RESERVED 1"}, {"bury 1 1", "BURIED"}, {"reserve-with-timeout 0", "RESERVED 2"}, {"reserve-with-timeout 0", "RESERVED 3"}, {"delete 3", "DELETED"},
		{"use null", "USING null"}, {"put 7 0 600 2\r\nhi", "INSERTED 5"}, {"put 5000 0 600 2\r\nhi", "INSERTED 6"}, {"pause-tube null 3600", "PAUSED"},
	} {
		if got := w.say(one.command); !strings.HasPrefix(got, one.want) {
			t.Fatalf("%q is answered with %q, want %q", one.command, got, one.want)
		}
		if strings.HasPrefix(one.want, "RESERVED") {
			w.line() // the job
		}
	}

	before, mail, null := w.numbers("stats"), w.numbers("stats-tube mail"), w.numbers("stats-tube null")
	s := c.Scrape(beanstalkd.Kind())
	after, mailAfter, nullAfter := w.numbers("stats"), w.numbers("stats-tube mail"), w.numbers("stats-tube null")
	// Whatever the server has numbers for is there, and is what the server says.
	for field := range before {
		switch field {
		case "pid", "version", "id", "hostname": // names; some of them can be read as numbers
			continue
		case "current-connections": // the plugin's own is one
			before[field]++
			after[field]++
		}
		near(t, s, "beanstalkd_"+strings.ReplaceAll(field, "-", "_"), before[field], after[field])
	}
	for _, tube := range []struct {
		name          string
		before, after map[string]float64
	}{{"mail", mail, mailAfter}, {"null", null, nullAfter}} {
		for field := range tube.before {
			near(t, s, fmt.Sprintf("beanstalkd_tube_%s{tube=%q}", strings.ReplaceAll(field, "-", "_"), tube.name), tube.before[field], tube.after[field])
		}
		if len(tube.before) < 13 {
			t.Errorf("of %s the server says %v", tube.name, tube.before)
		}
	}
	want(t, s, map[string]float64{
		"beanstalkd_up": 1, "beanstalkd_current_jobs_buried": 1, "beanstalkd_current_jobs_reserved": 1, "beanstalkd_current_jobs_delayed": 1, "beanstalkd_total_jobs": 6, "beanstalkd_max_job_size": 4096, "beanstalkd_draining": 0, "beanstalkd_current_tubes": 3,
		`beanstalkd_tube_current_jobs_buried{tube="mail"}`: 1, `beanstalkd_tube_current_jobs_reserved{tube="mail"}`: 1, `beanstalkd_tube_current_jobs_delayed{tube="mail"}`: 1, `beanstalkd_tube_cmd_delete{tube="mail"}`: 1, `beanstalkd_tube_current_jobs_ready{tube="null"}`: 2, `beanstalkd_tube_current_jobs_urgent{tube="null"}`: 1, `beanstalkd_tube_pause{tube="null"}`: 3600,
	})
	t.Logf("%d series", len(s.Values))

	// Tubes beyond those that stand alone are summed: nothing is lost.
	var many strings.Builder
	for i := range 250 {
		fmt.Fprintf(&many, "use tube-%d\r\nput 1 0 600 2\r\nhi\r\n", i)
	}
	w.send(many.String())
	for range 250 {
		w.line()
		if got := w.line(); !strings.HasPrefix(got, "INSERTED") {
			t.Fatalf("a job is answered with %q", got)
		}
	}
	var keep strings.Builder
	for i := range 250 { // a tube that nobody uses and that is empty is gone
		fmt.Fprintf(&keep, "watch tube-%d\r\n", i)
	}
	w.send(keep.String())
	for range 250 {
		w.line()
	}
	server := w.numbers("stats")
	begin := time.Now()
	s = c.Scrape(beanstalkd.Kind())
	t.Logf("%d series, in %s", len(s.Values), time.Since(begin))
	sum, alone := 0.0, 0
	for series, v := range s.Values {
		if strings.HasPrefix(series, "beanstalkd_tube_current_jobs_ready{") {
			sum += v
			alone++
		}
	}
	if sum != server["current-jobs-ready"] || alone != 101 {
		t.Errorf("%d tubes have %v ready jobs, the server %v", alone, sum, server["current-jobs-ready"])
	}

	i, err := beanstalkd.Kind().Open(c, servicetest.Config("PORT", "11301"))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.(tallyman.ServiceChecker).Check(t.Context()); err != nil {
		t.Errorf("the check: %v", err)
	}
	stands(t, d, c, beanstalkd.Kind(), servicetest.Config("PORT", "11301"))

	d.Cmd("kill", "-s", "USR1", id)
	testkit.Eventually(t, waitForServer, "the drain is told", func() error {
		if s := c.Scrape(beanstalkd.Kind()); s.Values["beanstalkd_draining"] != 1 {
			return fmt.Errorf("beanstalkd_draining is %v", s.Values["beanstalkd_draining"])
		}
		return nil
	})

	c = servicetest.NewContainer(t, d, d.StartDebian(image, `exec beanstalkd -l unix:/tmp/b.sock`, nil))
	if s := c.Scrape(beanstalkd.Kind()); s.Values["beanstalkd_current_tubes"] != 1 {
		t.Errorf("over its socket it tells %v", s.Values)
	}
}

// queue is a client of beanstalkd that knows nothing of the plugin's.
type queue struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func newQueue(t *testing.T, c *servicetest.Container) *queue {
	conn, err := c.DialContext(t.Context(), "tcp", "127.0.0.1:11301")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &queue{t, conn, bufio.NewReader(conn)}
}

func (q *queue) send(text string) {
	q.t.Helper()
	if _, err := io.WriteString(q.conn, text); err != nil {
		q.t.Fatal(err)
	}
}

func (q *queue) line() string {
	q.t.Helper()
	line, err := q.r.ReadString('\n')
	if err != nil {
		q.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func (q *queue) say(command string) string {
	q.t.Helper()
	q.send(command + "\r\n")
	return q.line()
}

// numbers are those of an answer to stats or stats-tube.
func (q *queue) numbers(command string) map[string]float64 {
	q.t.Helper()
	m := map[string]float64{}
	if got := q.say(command); !strings.HasPrefix(got, "OK ") {
		q.t.Fatalf("%s is answered with %q", command, got)
	}
	for line := q.line(); line != ""; line = q.line() {
		var name string
		var v float64
		if _, err := fmt.Sscanf(line, "%s %g", &name, &v); err == nil {
			m[strings.TrimSuffix(name, ":")] = v
		}
	}
	return m
}
