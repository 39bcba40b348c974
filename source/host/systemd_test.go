// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/internal/testkit"
)

// bus starts a D-Bus daemon whose socket is where a host with that root has the system's.
func bus(t *testing.T, root string) *dbus.Conn {
	t.Helper()
	program := testkit.Need(t, "dbus-daemon", "install Debian's package dbus-daemon")
	at := filepath.Join(root, busPath)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(root, "bus.conf")
	if err := os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=`+at+`</listen><policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--config-file="+config, "--nofork", "--nopidfile", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it listens now
		t.Fatal(err)
	}
	c, err := dbus.Dial("unix:path=" + at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Auth(nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(); err != nil {
		t.Fatal(err)
	}
	return c
}

// manager answers as systemd would.
type manager struct{ units atomic.Pointer[[]unit] }

// ListUnits is called by the connection, in a goroutine of its own.
func (m *manager) ListUnits() ([]unit, *dbus.Error) { return *m.units.Load(), nil }

type properties map[string]any

// Get answers for an object, which is where it was exported.
func (p properties) Get(iface, name string) (dbus.Variant, *dbus.Error) {
	if v, ok := p[strings.TrimPrefix(iface, systemdName+".")+"."+name]; ok {
		return dbus.MakeVariant(v), nil
	}
	return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
}

func systemdOf(t *testing.T, s *Source) (map[string]float64, error) {
	t.Helper()
	i := slices.IndexFunc(s.host.runners, func(r *runner) bool { return r.name == "systemd" })
	r := s.host.runners[i]
	r.at = time.Time{}
	got := map[string]float64{}
	for series, v := range labelled(t, s) {
		if strings.HasPrefix(series, "node_systemd_") {
			got[series] = v
		}
	}
	return got, r.err
}

func TestUnitsOfSystemd(t *testing.T) {
	s := fixture(t, Options{}, nil)
	if got, err := systemdOf(t, s); len(got) > 0 || err == nil || !strings.Contains(err.Error(), "There is no D-Bus") {
		t.Errorf("without D-Bus: %v, %v", got, err)
	}
	c := bus(t, s.o.Root)
	if got, err := systemdOf(t, s); len(got) > 0 || err == nil || !strings.Contains(err.Error(), "not run by systemd") {
		t.Errorf("without systemd: %v, %v", got, err)
	}
	of := func(name, active string) unit {
		return unit{Name: name, Load: "loaded", Active: active, Path: managerPath + "/unit/" + dbus.ObjectPath(strings.NewReplacer(".", "_2e", "-", "_2d").Replace(name)), JobPath: "/"}
	}
	docker, ssh, daily, gone := of("docker.service", "active"), of("ssh.socket", "active"), of("daily.timer", "inactive"), of("gone.service", "inactive")
	gone.Load = "not-found"
	units := []unit{ssh, docker, daily, gone, of("docker-0a0a.scope", "active"), of("var-lib.mount", "active")}
	m := &manager{}
	m.units.Store(&units)
	for at, p := range map[dbus.ObjectPath]properties{
		managerPath: {"Manager.Version": "v252.39-1~deb12u1", "Manager.SystemState": "degraded"},
		docker.Path: {"Service.Type": "notify", "Service.NRestarts": uint32(3)},
		ssh.Path:    {"Socket.NAccepted": uint32(5), "Socket.NConnections": uint32(1)}, // an old systemd
		daily.Path:  {"Timer.LastTriggerUSec": uint64(1700000000500000)},
	} {
		if err := c.Export(p, at, "org.freedesktop.DBus.Properties"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Export(m, managerPath, systemdName+".Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RequestName(systemdName, 0); err != nil {
		t.Fatal(err)
	}
	got, err := systemdOf(t, s)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"node_systemd_version{version=v252.39-1~deb12u1}": 252.39, "node_systemd_system_running{}": 0,
		"node_systemd_units{state=active}": 4, "node_systemd_units{state=inactive}": 2, "node_systemd_units{state=failed}": 0,
		"node_systemd_units{state=activating}": 0, "node_systemd_units{state=deactivating}": 0,
		"node_systemd_service_restart_total{name=docker.service}":         3,
		"node_systemd_socket_accepted_connections_total{name=ssh.socket}": 5,
		"node_systemd_socket_current_connections{name=ssh.socket}":        1,
		"node_systemd_timer_last_trigger_seconds{name=daily.timer}":       1700000000.5,
	}
	for name, active := range map[string]string{"docker.service": "active", "ssh.socket": "active", "daily.timer": "inactive"} {
		for _, state := range unitStates {
			key := "node_systemd_unit_state{name=" + name + ",state=" + state
			if name == "docker.service" {
				key += ",type=notify"
			}
			want[key+"}"] = number(state == active)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	many := slices.Clone(units)
	for i := range maxUnits {
		many = append(many, of("x"+strings.Repeat("y", i)+".target", "active"))
	}
	m.units.Store(&many)
	if got, err := systemdOf(t, s); err == nil || !strings.Contains(err.Error(), "3 units more") || got["node_systemd_units{state=active}"] != 4+maxUnits {
		t.Errorf("with too many units: %v active, %v", got["node_systemd_units{state=active}"], err)
	}
}

// A D-Bus that takes connections and says nothing delays nobody else.
func TestABusThatIsSilent(t *testing.T) {
	s := fixture(t, Options{}, nil)
	at := filepath.Join(s.o.Root, busPath)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.within = 50 * time.Millisecond
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	if len(b.Samples) < 50 {
		t.Errorf("%d samples beside it", len(b.Samples))
	}
	// Its connection is closed, so that the reading ends with an error and Close need not wait.
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
