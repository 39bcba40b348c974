// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/nsx"
	"tallyman/internal/testkit"
	"tallyman/source/sourcetest"
)

const (
	id        = "4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c"
	sockstat  = "sockets: used 48\nTCP: inuse 11 orphan 0 tw 3 alloc 16 mem 0\nUDP: inuse 2 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"
	sockstat6 = "TCP6: inuse 4\nUDP6: inuse 1\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n"
)

// proc makes a /proc of one process whose network namespace cannot be entered.
func proc(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"cgroup": "0::/docker/" + id + "\n", "net/sockstat": sockstat, "net/sockstat6": sockstat6, "ns/net": ""} {
		path := filepath.Join(root, "42", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func open(t testing.TB, root string) *Source {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Proc: root, Init: filepath.Join(root, "1")})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Source)
}

func target(mode string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Container: &tallyman.Container{ID: id, Pid: 42, NetworkMode: mode}}
}

// real is a target in a network namespace of its own; every cgroup has its id in
// its name.
func real(t testing.TB) (*tallyman.Target, *nsx.Process) {
	t.Helper()
	ns := testkit.NewNamespace(t)
	tg := target("bridge")
	tg.ID, tg.Container.ID, tg.Container.Pid = ":", ":", ns.Pid
	p, err := nsx.Open("/proc", ns.Pid, ":")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return tg, p
}

func collect(s tallyman.Source) map[string]float64 {
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		name := strings.TrimSuffix(strings.TrimPrefix(one.Series.Desc.Name, "container_network_"), "_usage_total")
		got[name+" "+one.Series.Labels[0].Value] = one.Value
	}
	return got
}

// byHand counts the lines of /proc/<pid>/net/tcp and tcp6.
func byHand(t testing.TB, pid int) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for _, name := range []string{"tcp", "tcp6"} {
		for _, s := range tcpStates {
			got[name+" "+s.name] = 0
		}
		for line := range strings.Lines(testkit.ReadText(t, fmt.Sprintf("/proc/%d/net/%s", pid, name))) {
			f := strings.Fields(line)
			var state int
			if _, err := fmt.Sscanf(f[3], "%X", &state); err != nil {
				continue // the line of names
			}
			if state == 12 {
				state = synRecv
			}
			for _, s := range tcpStates {
				if s.state == state {
					got[name+" "+s.name]++
				}
			}
		}
	}
	return got
}

// equal compares a round with readings by hand that are the same before and after
// it: late acknowledgements move some sockets.
func equal(t *testing.T, s *Source, tg *tallyman.Target, what string) (got map[string]float64) {
	t.Helper()
	testkit.Eventually(t, 5*time.Second, what, func() error {
		before := byHand(t, tg.Container.Pid)
		got = collect(s)
		delete(got, "udp inuse")
		delete(got, "udp6 inuse")
		if after := byHand(t, tg.Container.Pid); !cmp.Equal(before, after) {
			return errors.New("it moves")
		}
		if d := cmp.Diff(before, got); d != "" {
			return fmt.Errorf("%v (-by hand +got):\n%s", s.Absences(tg), d)
		}
		return nil
	})
	return got
}

func TestEveryState(t *testing.T) {
	tg, p := real(t)
	s := open(t, "/proc")
	defer s.Close()
	if err := s.Attach(tg); err != nil {
		t.Fatal(err)
	}
	f := func(what string) map[string]float64 {
		t.Helper()
		return equal(t, s, tg, what)
	}
	for key, n := range f("nothing") {
		if n != 0 {
			t.Errorf("%s is %v without any socket", key, n)
		}
	}
	testkit.NewTCP(t, unix.AF_INET, p.Socket).Loopback()
	four, six := testkit.NewTCP(t, unix.AF_INET, p.Socket), testkit.NewTCP(t, unix.AF_INET6, p.Socket)
	// Without a segment, nothing but the number of sockets changes.
	l := four.Listen(8, false)
	f("a listener")
	f("a listener, still")
	l.Pair()
	f("a connection")
	f("a connection, still")
	four.EveryState(5)
	six.EveryState(3)
	for key, n := range f("every state") {
		if n == 0 && !strings.HasSuffix(key, " close") {
			t.Errorf("%s is 0, want some", key)
		}
	}
	if a := s.Absences(tg); len(a) != 0 {
		t.Errorf("absent: %v", a)
	}
}

func TestManyInTimeWait(t *testing.T) {
	tg, p := real(t)
	s := open(t, "/proc")
	defer s.Close()
	if err := s.Attach(tg); err != nil {
		t.Fatal(err)
	}
	four, six := testkit.NewTCP(t, unix.AF_INET, p.Socket), testkit.NewTCP(t, unix.AF_INET6, p.Socket)
	four.Loopback()
	for _, step := range []struct {
		k *testkit.TCP
		n int
	}{{four, fewWaiting + 9}, {six, 30}, {six, fewWaiting + 50}, {four, 20}, {four, 300}} { // most of one family, then of the other
		l := step.k.Listen(8, false)
		for range step.n {
			client, server := l.Pair()
			step.k.Close(client)
			step.k.Close(server)
		}
		client, _ := l.Pair()
		step.k.Close(client) // small as well, but in FIN_WAIT2
		equal(t, s, tg, fmt.Sprintf("%d more in TIME_WAIT", step.n))
	}
}

func TestFilesOnly(t *testing.T) {
	s := open(t, proc(t))
	defer s.Close()
	if err := s.Attach(target("bridge")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]float64{"udp inuse": 2, "udp6 inuse": 1}, collect(s)); d != "" {
		t.Errorf("without the states (-want +got):\n%s", d)
	}
	if a := s.Absences(target("bridge")); len(a) != 1 || a[0].What != "TCP states" {
		t.Errorf("absences %v", a)
	}
	s.list[0].failed = fmt.Errorf("try: %w", nsx.ErrAdmin)
	if a := s.Absences(target("bridge")); len(a) != 1 || a[0].Unlock != unlock {
		t.Errorf("absences %v, want what unlocks them", a)
	}
}

func TestSharedNetworksSaySo(t *testing.T) {
	for _, mode := range []string{"host", "container:c0ffee"} {
		s := open(t, proc(t))
		if err := s.Attach(target(mode)); err != nil {
			t.Fatal(err)
		}
		got, a := collect(s), s.Absences(target(mode))
		if len(got) != 0 || len(a) != 1 || !strings.HasPrefix(a[0].Reason, "It shares ") || a[0].Unlock != "" {
			t.Errorf("%s: %v, absent %v", mode, got, a)
		}
		_ = s.Close()
	}
}

func TestGone(t *testing.T) {
	s := open(t, proc(t))
	defer s.Close()
	tg := target("bridge")
	tg.Container.Pid = 43
	if err := s.Attach(tg); !errors.Is(err, tallyman.ErrGone) {
		t.Errorf("Attach: %v, want ErrGone", err)
	}
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t, proc(t)), []*tallyman.Target{target("bridge")}
	})
}

func TestContractWithSockets(t *testing.T) {
	tg, p := real(t)
	k := testkit.NewTCP(t, unix.AF_INET, p.Socket)
	k.Loopback()
	k.EveryState(2) // some of its states make every sample walk
	sourcetest.Run(t, Kind(), func(*testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t, "/proc"), []*tallyman.Target{tg}
	})
}

func TestCounters(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(counters([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("Ip: a\nIp: 1\nTcp: a b\nTcp: 1 -1\nUdp: a\n", "1 -1")
	f("Ip: a\nTcp: a b\nTcp: 1 -1", "") // cut off
	f("Ip: a\nTcp: a b\n", "")
	f("", "")
}

func FuzzAnswer(f *testing.F) {
	answer := make([]byte, header+answerSize)
	binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
	binary.NativeEndian.PutUint16(answer[4:], getSock)
	binary.NativeEndian.PutUint32(answer[8:], 1)
	answer[header], answer[header+1] = unix.AF_INET6, established
	f.Add(answer)
	f.Add(append(answer, 16, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0))
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 254, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		var sum tally
		end, err := sum.add(b, 1)
		if err != nil && !end {
			t.Errorf("%v, but not the end", err)
		}
	})
}

func FuzzSockstat(f *testing.F) {
	f.Add(sockstat)
	f.Add(sockstat6)
	f.Add("TCP: inuse 99999999999999999999999 tw \nUDP: inuse")
	f.Fuzz(func(_ *testing.T, text string) {
		var u usage
		u.parse4([]byte(text))
		u.parse6([]byte(text))
		counters([]byte(text))
	})
}

// What a sample costs when nothing moves, and when everything must be walked.
func BenchmarkCollect(b *testing.B) {
	for _, connections := range []int{0, 10, 2500} {
		tg, p := real(b)
		s := open(b, "/proc")
		if err := s.Attach(tg); err != nil {
			b.Fatal(err)
		}
		if connections > 0 {
			k := testkit.NewTCP(b, unix.AF_INET, p.Socket)
			k.Loopback()
			l := k.Listen(128, false)
			for range connections {
				l.Pair()
			}
		}
		var batch tallyman.Batch
		f := func(name string, before func()) {
			b.Run(fmt.Sprintf("%d/%s", 2*connections, name), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					before()
					batch.Reset(time.Time{})
					s.Collect(&batch)
				}
			})
		}
		f("quiet", func() {})
		if connections > 0 {
			f("moving", func() { s.list[0].settled = false })
		}
		_ = s.Close()
	}
}
