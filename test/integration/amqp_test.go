// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rabbitmq/amqp091-go"

	"tallyman/internal/testkit"
)

// consumer is the other side: the queue alarms.queue of a real RabbitMQ.
type consumer struct {
	t   *testing.T
	r   *testkit.Rabbit
	got []delivery
}

// delivery is a message as the broker has it, in the order of its queue.
type delivery struct {
	id, body string
	aligned  bool
	alarm    struct {
		EventTimestamp, Description, Severity string
		PrimarySubject                        struct{ Container, Image string }
		AdditionalData                        struct{ ExitCode, ImageID string }
	}
}

// with does something over a channel of a new connection.
func (c *consumer) with(do func(ch *amqp091.Channel) error) error {
	conn, err := amqp091.Dial("amqp://guest:guest@" + c.r.Address + "/")
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return do(ch)
}

func (c *consumer) must(do func(ch *amqp091.Channel) error) {
	c.t.Helper()
	if err := c.with(do); err != nil {
		c.t.Fatal(err)
	}
}

// declare makes the exchange and the queue as the alarm manager does.
func (c *consumer) declare() {
	c.t.Helper()
	c.must(func(ch *amqp091.Channel) error {
		if err := ch.ExchangeDeclare("alarms.exchange", "direct", true, false, false, false, nil); err != nil {
			return err
		}
		_, err := ch.QueueDeclare("alarms.queue", true, false, false, false, nil)
		return err
	})
	c.bind()
}

func (c *consumer) bind() {
	c.t.Helper()
	c.must(func(ch *amqp091.Channel) error {
		return ch.QueueBind("alarms.queue", "alarms", "alarms.exchange", false, nil)
	})
}

func (c *consumer) unbind() {
	c.t.Helper()
	c.must(func(ch *amqp091.Channel) error {
		return ch.QueueUnbind("alarms.queue", "alarms", "alarms.exchange", nil)
	})
}

// drain takes everything that the broker has now.
func (c *consumer) drain() error {
	return c.with(func(ch *amqp091.Channel) error {
		for {
			m, ok, err := ch.Get("alarms.queue", false)
			if err != nil || !ok {
				return err
			}
			d := delivery{id: m.MessageId, body: string(m.Body)}
			d.aligned, _ = m.Headers["x-tallyman-alignment"].(bool)
			if m.DeliveryMode != amqp091.Persistent || m.ContentType != "application/json" || m.MessageId == "" || m.Timestamp.IsZero() {
				c.t.Errorf("the properties of %s: %+v", m.Body, m)
			}
			if err := json.Unmarshal(m.Body, &d.alarm); err != nil {
				c.t.Errorf("%s: %v", m.Body, err)
			}
			if err := m.Ack(false); err != nil {
				return err
			}
			c.got = append(c.got, d)
		}
	})
}

// wait drains until there are n messages of different ids that fit.
func (c *consumer) wait(n int, fits func(d *delivery) bool) {
	c.t.Helper()
	testkit.Eventually(c.t, 2*time.Minute, fmt.Sprintf("%d messages have arrived", n), func() error {
		if err := c.drain(); err != nil {
			return err
		}
		ids := map[string]bool{}
		for i := range c.got {
			if fits(&c.got[i]) {
				ids[c.got[i].id] = true
			}
		}
		if len(ids) < n {
			return fmt.Errorf("%d have", len(ids))
		}
		return nil
	})
}

// of are the messages about a container, without those of the alignment.
func of(name string) func(d *delivery) bool {
	return func(d *delivery) bool { return !d.aligned && d.alarm.PrimarySubject.Container == name }
}

// unaligned tells messages from those of the alignment.
func unaligned(d *delivery) bool { return !d.aligned }

// forwarding starts a tallyman that forwards what happens to the containers of the test,
// but for the broker.
func forwarding(t *testing.T, d *testkit.Docker, r *testkit.Rabbit, data string, more ...string) *testkit.Program {
	t.Helper()
	args := []string{"--set", "forward.amqp.url=amqp://guest:guest@" + r.Address + "/", "--set", "include=name:" + d.Name("*"), "--set", "exclude=name:*rabbit*", "--set", "keep.logs=false"}
	return testkit.StartProgram(t, data, append(args, more...)...)
}

// sum adds up a metric of tallyman's own over its labels, which hold all of some.
func sum(t *testing.T, p *testkit.Program, name string, labels ...string) (total float64) {
	t.Helper()
	for series, v := range scrape(t, &p.Client) {
		if strings.HasPrefix(series, name+"{") && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			total += v
		}
	}
	return total
}

// The five events field by field, and the states at the start.
func TestAMQPMessages(t *testing.T) {
	d := testkit.NewDocker(t)
	r := d.StartRabbit()
	c := &consumer{t: t, r: r}
	c.declare()
	forever := []string{"sh", "-c", "trap 'exit 143' TERM; while :; do sleep 3600 & wait; done"}
	d.Start([]string{"--name", d.Name("al-running")}, forever...)
	d.Start([]string{"--name", d.Name("al-paused")}, forever...)
	d.Start([]string{"--name", d.Name("al-exited")}, "sh", "-c", "exit 3")
	d.Cmd("create", "--name", d.Name("al-created"), "--label", d.Label, testkit.Image, "true")
	d.Pause(d.Name("al-paused"))
	defer func() { _, _ = d.May("unpause", d.Name("al-paused")) }()
	d.Cmd("wait", d.Name("al-exited"))
	inspect := func(name, format string) string {
		return strings.TrimSpace(d.Cmd("inspect", "-f", format, d.Name(name)))
	}
	stamp := func(text string) string {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return at.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	message := func(name, at, description, severity, exit string) string {
		return fmt.Sprintf(`{"namespace":"dojot.docker.container","domain":"docker container status change","eventTimestamp":%q,"description":%q,"severity":%q,"primarySubject":{"container":%q,"image":%q},"additionalData":{"exitCode":%q,"imageId":%q}}`,
			at, description, severity, d.Name(name), testkit.Image, exit, inspect(name, "{{.Image}}"))
	}

	data := testkit.DataDir(t)
	p := forwarding(t, d, r, data)
	c.wait(3, func(d *delivery) bool { return d.aligned })
	got := map[string]string{}
	for _, m := range c.got {
		got[m.alarm.PrimarySubject.Container] = m.body
	}
	want := map[string]string{
		d.Name("al-running"): message("al-running", stamp(inspect("al-running", "{{.State.StartedAt}}")), "container went up", "Clear", "NA"),
		d.Name("al-paused"):  message("al-paused", stamp(inspect("al-paused", "{{.State.StartedAt}}")), "container processes were paused", "Major", "NA"),
		d.Name("al-exited"):  message("al-exited", stamp(inspect("al-exited", "{{.State.FinishedAt}}")), "container went down", "Major", "3"),
	}
	if len(c.got) != 3 {
		t.Errorf("%d messages at the start, want 3: %v", len(c.got), got)
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("at the start:\ngot  %s\nwant %s", got[name], text)
		}
	}

	d.Start([]string{"--name", d.Name("api")}, forever...)
	d.Pause(d.Name("api"))
	d.Cmd("unpause", d.Name("api"))
	d.Cmd("stop", d.Name("api"))
	c.wait(5, of(d.Name("api")))
	at, ids := map[string]string{}, map[string]string{}
	for _, e := range changesIn(p, d.Name("api")) {
		at[e.Action] = time.UnixMilli(e.Time).UTC().Format("2006-01-02T15:04:05.000Z")
		ids[e.Action] = e.ID
	}
	var told []delivery
	for _, m := range c.got {
		if of(d.Name("api"))(&m) {
			told = append(told, m)
		}
	}
	for i, w := range []struct{ action, description, severity, exit string }{
		{"start", "container went up", "Clear", "NA"}, {"pause", "container processes were paused", "Major", "NA"}, {"unpause", "container processes were unpaused", "Clear", "NA"},
		{"die", "container went down", "Major", "143"}, {"stop", "container went down", "Major", "NA"},
	} {
		if text := message("api", at[w.action], w.description, w.severity, w.exit); i >= len(told) || told[i].body != text || told[i].id != ids[w.action] {
			t.Errorf("%s:\ngot  %+v\nwant %s %s", w.action, told[min(i, len(told)-1)], ids[w.action], text)
		}
	}

	// Nothing is repeated after a clean end but the states.
	before := len(c.got)
	p.Stop()
	p = forwarding(t, d, r, data)
	c.wait(7, func(d *delivery) bool { return d.aligned })
	for _, m := range c.got[before:] {
		if !m.aligned {
			t.Errorf("told again: %s", m.body)
		}
	}
	if up := sum(t, p, "tallyman_forward_up"); up != 1 {
		t.Errorf("tallyman_forward_up is %v", up)
	}
}

// The broker is killed and tallyman twice while containers are paused and unpaused a
// thousand times: all arrives, what comes twice has the same id, and of each container the
// order is right.
func TestAMQPKills(t *testing.T) {
	d := testkit.NewDocker(t)
	r := d.StartRabbit()
	c := &consumer{t: t, r: r}
	c.declare()
	const containers, rounds = 5, 100
	var names []string
	for i := range containers {
		names = append(names, d.Name(fmt.Sprint("kills", i)))
		d.Start([]string{"--name", names[i]}, "sleep", "3600")
	}
	data := testkit.DataDir(t)
	p := forwarding(t, d, r, data)
	c.wait(containers, func(d *delivery) bool { return d.aligned })
	says := engineSays(t, d)
	done := make([]int, containers) // how many rounds
	worked := make([]int, containers)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range containers {
		wg.Go(func() {
			for range rounds {
				for _, action := range []string{"pause", "unpause"} {
					out, err := d.May(action, names[i])
					switch {
					case err == nil:
						worked[i]++
					case !strings.Contains(out, "paused"): // the engine mixes them up when they are fast
						t.Errorf("%s: %s", action, out)
						return
					}
				}
				mu.Lock()
				done[i]++
				mu.Unlock()
			}
		})
	}
	reach := func(n int) {
		t.Helper()
		testkit.Eventually(t, 5*time.Minute, fmt.Sprint(n, " rounds are done"), func() error {
			mu.Lock()
			defer mu.Unlock()
			sum := 0
			for _, n := range done {
				sum += n
			}
			if sum < n {
				return fmt.Errorf("%d are", sum)
			}
			return nil
		})
	}
	reach(80)
	p.Kill()
	p = forwarding(t, d, r, data)
	reach(180)
	r.Kill()
	reach(230)
	p.Kill()
	p = forwarding(t, d, r, data)
	reach(300)
	r.Start()
	wg.Wait()
	r.Wait()
	all := 0
	testkit.Eventually(t, time.Minute, "the engine has told of all", func() error {
		all = 0
		for i, name := range names {
			if n := len(says(name)); n < worked[i] {
				return fmt.Errorf("%d of the %d of %s", n, worked[i], name)
			}
			all += len(says(name))
		}
		return nil
	})
	c.wait(all, unaligned)
	testkit.Eventually(t, time.Minute, "nothing waits", func() error {
		if n := sum(t, p, "tallyman_forward_queue_messages"); n != 0 {
			return fmt.Errorf("%v messages do", n)
		}
		return nil
	})
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}

	seen, repeats, guessed := map[string]string{}, 0, 0
	for _, name := range names {
		// A pause may be inferred from an inventory beside its event, as there is no time of
		// it in there; those events are messages like the others.
		inferred := map[string]bool{}
		for _, e := range changesIn(p, name) {
			inferred[e.ID] = e.Inferred
		}
		var order []delivery // by where a message came last
		for i := range c.got {
			m := c.got[i]
			if !of(name)(&m) {
				continue
			}
			if _, ok := inferred[m.id]; !ok {
				t.Errorf("no event has the id of %s", m.body)
			}
			if inferred[m.id] {
				guessed++
				continue
			}
			if body, ok := seen[m.id]; ok {
				repeats++
				if body != m.body {
					t.Errorf("the id %s comes with another text: %s, then %s", m.id, body, m.body)
				}
				order = slices.DeleteFunc(order, func(d delivery) bool { return d.id == m.id })
			}
			seen[m.id] = m.body
			order = append(order, m)
		}
		var got []string
		for i := range order {
			action := map[string]string{"container processes were paused": "pause", "container processes were unpaused": "unpause"}[order[i].alarm.Description]
			got = append(got, order[i].alarm.EventTimestamp+" "+action)
		}
		if d := cmp.Diff(says(name), got); d != "" {
			t.Errorf("%s (-the engine +what arrived):\n%s", name, d)
			for _, e := range changesIn(p, name) {
				if _, ok := seen[e.ID]; !ok && !e.Inferred {
					t.Errorf("the store has %s of %s, which did not arrive", e.Action, time.UnixMilli(e.Time).UTC().Format(time.RFC3339Nano))
				}
			}
		}
	}
	if dropped := sum(t, p, "tallyman_forward_dropped_total"); dropped != 0 || len(seen) != all {
		t.Errorf("%d different messages, want %d; %v dropped", len(seen), all, dropped)
	}
	t.Logf("%d commands at most, %d events, %d deliveries, %d repeats; %d messages of inferred events beside them", 2*containers*rounds, all, len(seen)+repeats, repeats, guessed)
}

// happened is an event as the REST interface tells it.
type happened struct {
	ID, Action, Name string
	Time             int64
	Inferred         bool
}

// flicker pauses a container and lets it go on. An engine that is asked so fast takes the
// two for each other at times, and refuses the second; worked is what it did.
func flicker(d *testkit.Docker, t *testing.T, name string) (worked int) {
	t.Helper()
	for _, action := range []string{"pause", "unpause"} {
		out, err := d.May(action, name)
		switch {
		case err == nil:
			worked++
		case !strings.Contains(out, "paused"):
			t.Fatalf("docker %s %s: %s", action, name, out)
		}
	}
	return worked
}

// changesIn are the events about a container that are forwarded, the newest first.
func changesIn(p *testkit.Program, name string) (out []happened) {
	var events struct{ Events []happened }
	p.JSON("/api/tallyman/v1/events?limit=1000&workload="+name, &events)
	for _, e := range events.Events {
		if e.Name == name && slices.Contains([]string{"die", "stop", "start", "pause", "unpause"}, e.Action) {
			out = append(out, e)
		}
	}
	return out
}

// engineSays notes what the engine itself tells of the containers of a test: when pauses
// follow each other fast it tells of some twice.
func engineSays(t *testing.T, d *testkit.Docker) func(name string) []string {
	t.Helper()
	var mu sync.Mutex
	said := map[string][]string{}
	begin := time.Now() // the engine begins with the present second
	cmd := d.Command("events", "--since", "0s", "--filter", "label="+d.Label, "--format", `{{.TimeNano}} {{.Action}} {{index .Actor.Attributes "name"}}`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f := strings.Fields(lines.Text())
			nanos, err := strconv.ParseInt(f[0], 10, 64)
			if err != nil || nanos < begin.UnixNano() || len(f) != 3 || !slices.Contains([]string{"die", "stop", "start", "pause", "unpause"}, f[1]) {
				continue
			}
			mu.Lock()
			said[f[2]] = append(said[f[2]], time.Unix(0, nanos).UTC().Format("2006-01-02T15:04:05.000Z ")+f[1])
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		wg.Wait()
		_ = cmd.Wait()
	})
	return func(name string) []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(said[name])
	}
}

// While no queue is bound, for more than a minute, nothing is lost.
func TestAMQPNoQueue(t *testing.T) {
	d := testkit.NewDocker(t)
	r := d.StartRabbit()
	c := &consumer{t: t, r: r}
	c.declare()
	c.unbind()
	name := d.Name("unbound")
	d.Start([]string{"--name", name}, "sleep", "3600")
	p := forwarding(t, d, r, testkit.DataDir(t), "--set", "forward.amqp.align=false")
	const rounds = 20
	known, worked := 0, 0
	for range rounds {
		worked += flicker(d, t, name)
	}
	testkit.Eventually(t, time.Minute, "all wait", func() error {
		known = len(changesIn(p, name))
		if n := sum(t, p, "tallyman_forward_queue_messages"); known < worked || int(n) != known {
			return fmt.Errorf("%v wait, of %d", n, known)
		}
		return nil
	})
	testkit.Eventually(t, time.Minute, "the broker has returned it some times", func() error {
		if n := sum(t, p, "tallyman_forward_failures_total", "reason=returned"); n < 4 {
			return fmt.Errorf("%v times", n)
		}
		return nil
	})
	testkit.Eventually(t, 3*time.Minute, "the oldest has waited for a minute", func() error {
		if age := sum(t, p, "tallyman_forward_lag_seconds"); age < 60 {
			return fmt.Errorf("%v s", age)
		}
		return nil
	})
	var report struct {
		Features []struct{ ID, State, Reason string }
	}
	p.JSON("/api/tallyman/v1/doctor", &report)
	if !slices.ContainsFunc(report.Features, func(f struct{ ID, State, Reason string }) bool {
		return f.ID == "forward/amqp" && f.State == "partly" && strings.Contains(f.Reason, "no queue is bound")
	}) {
		t.Errorf("the doctor says %+v", report.Features)
	}
	if n := sum(t, p, "tallyman_forward_queue_messages"); int(n) != known {
		t.Errorf("%v messages wait, want %d", n, known)
	}
	c.bind()
	c.wait(known, of(name))
	if len(c.got) != known {
		t.Errorf("%d messages, want %d: none was taken before", len(c.got), known)
	}
	t.Logf("%d events, %d deliveries, returned %v times", known, len(c.got), sum(t, p, "tallyman_forward_failures_total", "reason=returned"))
}

// What does not fit in while the broker is away is dropped, the oldest first, and counted.
func TestAMQPBound(t *testing.T) {
	d := testkit.NewDocker(t)
	r := d.StartRabbit()
	c := &consumer{t: t, r: r}
	c.declare()
	r.Kill()
	name := d.Name("bound")
	d.Start([]string{"--name", name}, "sleep", "3600")
	p := forwarding(t, d, r, testkit.DataDir(t), "--set", "forward.amqp.align=false", "--set", "forward.amqp.buffer=64KiB")
	const rounds = 150
	worked := 0
	for range rounds {
		worked += flicker(d, t, name)
	}
	kept, dropped, known := 0.0, 0.0, []happened{}
	testkit.Eventually(t, time.Minute, "all are queued or dropped", func() error {
		kept, dropped = sum(t, p, "tallyman_forward_queue_messages"), sum(t, p, "tallyman_forward_dropped_total", "reason=buffer_full")
		if known = changesIn(p, name); len(known) < worked || kept+dropped != float64(len(known)) {
			return fmt.Errorf("%v wait and %v are dropped, of %d", kept, dropped, len(known))
		}
		return nil
	})
	if size := sum(t, p, "tallyman_forward_queue_bytes"); dropped == 0 || size > 64<<10 || size < 60<<10 {
		t.Errorf("%v dropped, %v bytes", dropped, size)
	}
	r.Start()
	r.Wait()
	c.wait(int(kept), of(name))
	if n := sum(t, p, "tallyman_forward_dropped_total"); len(c.got) != int(kept) || n != dropped {
		t.Errorf("%d arrived of %v that waited; dropped %v, then %v", len(c.got), kept, dropped, n)
	}
	// The oldest went, and all others came.
	want := map[string]bool{}
	for _, e := range known[:len(c.got)] {
		want[e.ID] = true
	}
	for _, m := range c.got {
		if !want[m.id] {
			t.Errorf("%s is none of the newest %d", m.body, len(want))
		}
		delete(want, m.id)
	}
	t.Logf("%d events, %v dropped, %d delivered", len(known), dropped, len(c.got))
}
