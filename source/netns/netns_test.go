// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/source/sourcetest"
)

const (
	id   = "4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c"
	head = "Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
	lo   = "    lo:      84       1    0    0    0     0          0         0       84       1    0    0    0     0       0          0\n"
	eth0 = "  eth0:     736       8    1    2    0     0          0         0       21       3    4    5    0     0       0          0\n"
	eth1 = "  eth1:18446744073709551615 9 0 0 0 0 0 0 22 4 0 0 0 0 0 0\n"
)

// proc makes a /proc of one process in which the container runs.
func proc(t testing.TB, dev string) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, "42/cgroup", "0::/docker/"+id+"\n")
	write(t, root, "42/net/dev", dev)
	return root
}

func write(t testing.TB, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, root string) tallyman.Source {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Proc: root, Init: filepath.Join(root, "1")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func target(mode string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Container: &tallyman.Container{ID: id, Pid: 42, NetworkMode: mode}}
}

func collect(s tallyman.Source) map[string]float64 {
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		got[strings.TrimPrefix(one.Series.Desc.Name, "container_network_")+" "+one.Series.Labels[0].Value] = one.Value
	}
	return got
}

func TestInterfacesComeAndGo(t *testing.T) {
	root := proc(t, head+lo+eth0)
	s := open(t, root)
	defer s.Close()
	if err := s.Attach(target("bridge")); err != nil {
		t.Fatal(err)
	}
	one := map[string]float64{
		"receive_bytes_total eth0": 736, "receive_packets_total eth0": 8, "receive_errors_total eth0": 1, "receive_packets_dropped_total eth0": 2,
		"transmit_bytes_total eth0": 21, "transmit_packets_total eth0": 3, "transmit_errors_total eth0": 4, "transmit_packets_dropped_total eth0": 5,
	}
	if d := cmp.Diff(one, collect(s)); d != "" {
		t.Errorf("one interface (-want +got):\n%s", d)
	}
	write(t, root, "42/net/dev", head+eth1+lo+eth0) // connected to a second network, which comes first
	got := collect(s)
	if len(got) != 16 || got["receive_bytes_total eth1"] != 18446744073709551615 || got["receive_bytes_total eth0"] != 736 {
		t.Errorf("two interfaces: %v", got)
	}
	write(t, root, "42/net/dev", head+lo+eth0)
	if d := cmp.Diff(one, collect(s)); d != "" {
		t.Errorf("after it went (-want +got):\n%s", d)
	}
}

func TestSharedNetworksSaySo(t *testing.T) {
	root := proc(t, head+lo+eth0)
	f := func(mode, want string) {
		t.Helper()
		s := open(t, root)
		defer s.Close()
		if err := s.Attach(target(mode)); err != nil {
			t.Fatal(err)
		}
		if got := collect(s); len(got) != 0 {
			t.Errorf("%s: %v, want nothing", mode, got)
		}
		a := s.(tallyman.Absentee).Absences(target(mode))
		if len(a) != 1 || !strings.Contains(a[0].Reason, want) {
			t.Errorf("%s: Absences = %v, want the word %q", mode, a, want)
		}
	}
	f("host", "host")
	f("container:c0ffee", "c0ffee")
}

func TestGone(t *testing.T) {
	root := proc(t, head)
	s := open(t, root)
	defer s.Close()
	tg := target("bridge")
	tg.Container.Pid = 43
	if err := s.Attach(tg); err != tallyman.ErrGone {
		t.Errorf("no process: %v, want ErrGone", err)
	}
	write(t, root, "42/cgroup", "0::/user.slice\n") // the pid was taken by another process
	if err := s.Attach(target("bridge")); err != tallyman.ErrGone {
		t.Errorf("another process: %v, want ErrGone", err)
	}
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t, proc(t, head+lo+eth0+eth1)), []*tallyman.Target{target("bridge")}
	})
}

func machine() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.MachineTarget, ID: "/", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}
}

func TestMachineHasTheInterfacesThatLeadOutside(t *testing.T) {
	root := proc(t, head)
	text := head + lo + eth0
	for i := range 400 { // more than one buffer
		text += strings.Replace(eth1, "eth1", fmt.Sprintf("veth%04d", i), 1)
	}
	for _, name := range []string{"docker0", "br-c0ffee", "wg0"} {
		text += strings.Replace(eth1, "eth1", name, 1)
	}
	write(t, root, "1/net/dev", text)
	s := open(t, root)
	defer s.Close()
	if err := s.Attach(machine()); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	s.Collect(&b)
	got := map[string]int{}
	for _, one := range b.Samples {
		labels := ""
		for _, l := range one.Series.Labels {
			labels += l.Name + "=" + l.Value + " "
		}
		got[labels]++
	}
	if d := cmp.Diff(map[string]int{"host=h id=/ interface=eth0 ": len(columns), "host=h id=/ interface=wg0 ": len(columns)}, got); d != "" {
		t.Errorf("series by labels (-want +got):\n%s", d)
	}
}

func TestContractOfAMachine(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		root := proc(t, head+lo+eth0)
		write(t, root, "1/net/dev", head+lo+eth0+eth1)
		return open(t, root), []*tallyman.Target{machine(), target("bridge")}
	})
}
