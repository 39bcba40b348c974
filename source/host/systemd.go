// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"tallyman"
	"tallyman/internal/clip"
)

var (
	unitState      = gauge("node_systemd_unit_state", "", "1 for the state that a unit is in, 0 for the others")
	unitsByState   = gauge("node_systemd_units", "", "Units in a state")
	systemRunning  = gauge("node_systemd_system_running", "", "1 when the system is started and no unit has failed, else 0")
	systemdVersion = gauge("node_systemd_version", "", "Version of systemd; the label has it as systemd writes it")
	serviceRestart = counter("node_systemd_service_restart_total", "", "How often systemd has started a service again")
	timerTriggered = gauge("node_systemd_timer_last_trigger_seconds", "seconds", "Unix time at which a timer was last due")
	socketAccepted = counter("node_systemd_socket_accepted_connections_total", "", "Connections that a socket unit has taken")
	socketCurrent  = gauge("node_systemd_socket_current_connections", "", "Connections that a socket unit has")
	socketRefused  = counter("node_systemd_socket_refused_connections_total", "", "Connections that a socket unit has refused")
)

// unitStates are the states of a unit.
var unitStates = []string{"active", "activating", "deactivating", "inactive", "failed"}

const (
	// maxUnits bounds the units that are told of one by one, five series each.
	maxUnits = 300
	// busPath is where the system's D-Bus listens on a host.
	busPath = "/run/dbus/system_bus_socket"
	// busDeadline is how long systemd may take to answer.
	busDeadline = 10 * time.Second
	systemdName = "org.freedesktop.systemd1"
)

// unitKept reports whether a unit is told of: not those that mirror the kernel's
// devices, mounts and groups of processes, of which each container has some.
func unitKept(name string) bool {
	return !slices.Contains([]string{".automount", ".device", ".mount", ".scope", ".slice"}, path.Ext(name))
}

// systemdCollector asks systemd over the host's D-Bus, where there is one.
var systemdCollector = collector{
	name: "systemd", what: "units of systemd", every: 30 * time.Second, aside: true,
	descs: []*tallyman.Desc{unitState, unitsByState, systemRunning, systemdVersion, serviceRestart, timerTriggered, socketAccepted, socketCurrent, socketRefused},
	open: func(s *Source) reading {
		types := map[string]string{} // of services, which do not change
		return func(to *sink) error {
			ctx, cancel := context.WithTimeout(context.Background(), busDeadline)
			defer cancel()
			b, err := s.dialBus(ctx)
			if err != nil {
				return err
			}
			defer b.Close()
			return (&systemd{ctx: ctx, bus: b, types: types}).read(to)
		}
	},
}

// dialBus connects to the host's D-Bus as the user that tallyman is.
func (s *Source) dialBus(ctx context.Context) (*dbus.Conn, error) {
	at := busPath
	if s.o.Path != nil {
		at = cmp.Or(s.o.Path(busPath), busPath)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", at)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, none("There is no D-Bus at " + busPath + " that would tell of systemd.")
		}
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline) // a socket of this machine takes it
	b, err := dbus.DialUnix(c.(*net.UnixConn), dbus.WithContext(ctx))
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	if err = b.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err == nil {
		err = b.Hello()
	}
	if err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("D-Bus does not let tallyman in: %w", err)
	}
	return b, nil
}

// unit is a unit as the manager lists it.
type unit struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	Job                                             uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// systemd asks over one connection.
type systemd struct {
	ctx   context.Context
	bus   *dbus.Conn
	types map[string]string
}

// property asks for a property of an object; iface is what stands behind systemd's name.
func (y *systemd) property(at dbus.ObjectPath, iface, name string) (any, error) {
	var v dbus.Variant
	err := y.bus.Object(systemdName, at).CallWithContext(y.ctx, "org.freedesktop.DBus.Properties.Get", 0, systemdName+"."+iface, name).Store(&v)
	return v.Value(), err
}

// number adds a property that is a whole number; what an old systemd has not is left out.
func (y *systemd) number(to *sink, d *tallyman.Desc, u unit, iface, property string, factor float64) {
	v, err := y.property(u.Path, iface, property)
	if err != nil {
		return
	}
	switch n := v.(type) {
	case uint32:
		to.Add(d, float64(n)*factor, "name", u.Name)
	case uint64:
		to.Add(d, float64(n)*factor, "name", u.Name)
	}
}

const managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")

func (y *systemd) read(to *sink) error {
	var units []unit
	err := y.bus.Object(systemdName, managerPath).CallWithContext(y.ctx, systemdName+".Manager.ListUnits", 0).Store(&units)
	if e := (dbus.Error{}); errors.As(err, &e) && (e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner") {
		return none("The host is not run by systemd: it is not on D-Bus.")
	}
	if err != nil {
		return fmt.Errorf("systemd does not list its units: %w", err)
	}
	if v, err := y.property(managerPath, "Manager", "Version"); err == nil {
		if version, ok := v.(string); ok {
			if n, ok := float(majorMinor(strings.TrimLeftFunc(version, func(r rune) bool { return r < '0' || r > '9' }))); ok {
				to.Add(systemdVersion, n, "version", clip.Text(version, 64))
			}
		}
	}
	if v, err := y.property(managerPath, "Manager", "SystemState"); err == nil {
		to.Add(systemRunning, number(v == "running"))
	}
	count := map[string]int{}
	for _, u := range units {
		count[u.Active]++
	}
	for _, state := range unitStates {
		to.Add(unitsByState, float64(count[state]), "state", state)
	}
	units = slices.DeleteFunc(units, func(u unit) bool { return u.Load != "loaded" || !unitKept(u.Name) })
	slices.SortFunc(units, func(a, b unit) int { return strings.Compare(a.Name, b.Name) })
	beyond := max(0, len(units)-maxUnits)
	units = units[:len(units)-beyond]
	there := map[string]bool{}
	for _, u := range units {
		u.Name = clip.Text(u.Name, 256)
		there[u.Name] = true
		y.unit(to, u)
	}
	for name := range y.types {
		if !there[name] {
			delete(y.types, name)
		}
	}
	if beyond > 0 {
		return fmt.Errorf("systemd has %d units more; %d are told of one by one", beyond, maxUnits)
	}
	return y.ctx.Err()
}

// unit adds what there is of one unit.
func (y *systemd) unit(to *sink, u unit) {
	kind := ""
	switch path.Ext(u.Name) {
	case ".service":
		var known bool
		if kind, known = y.types[u.Name]; !known {
			if v, err := y.property(u.Path, "Service", "Type"); err == nil {
				kind, _ = v.(string)
				y.types[u.Name] = kind
			}
		}
		y.number(to, serviceRestart, u, "Service", "NRestarts", 1)
	case ".timer":
		y.number(to, timerTriggered, u, "Timer", "LastTriggerUSec", 1e-6)
	case ".socket":
		y.number(to, socketAccepted, u, "Socket", "NAccepted", 1)
		y.number(to, socketCurrent, u, "Socket", "NConnections", 1)
		y.number(to, socketRefused, u, "Socket", "NRefused", 1)
	}
	for _, state := range unitStates {
		to.Add(unitState, number(state == u.Active), "name", u.Name, "state", state, "type", kind)
	}
}
