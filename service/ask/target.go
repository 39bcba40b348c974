// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"tallyman"
)

// HostKeys are the keys of a plugin that asks a host and a port; port is the one that
// stands without configuration, as "6379".
func HostKeys(port string) []tallyman.ServiceKey {
	return []tallyman.ServiceKey{
		{Name: "HOSTNAME", Type: tallyman.TextKey, Help: "host as the container knows it", Default: "localhost"},
		{Name: "PORT", Type: tallyman.PortKey, Help: "TCP port", Default: port},
	}
}

// SocketKey is the key of a plugin that can ask a unix socket as well.
func SocketKey(example string) tallyman.ServiceKey {
	return tallyman.ServiceKey{Name: "SOCKET", Type: tallyman.PathKey, Help: "unix socket in the container, in place of host and port", Example: example}
}

// LoginKeys are the keys of a login.
func LoginKeys() []tallyman.ServiceKey {
	return []tallyman.ServiceKey{
		{Name: "USERNAME", Type: tallyman.TextKey, Help: "name of the login"},
		{Name: "PASSWORD", Type: tallyman.SecretKey, Help: "password of the login", Example: "$SERVICE_PASSWORD"},
	}
}

// Target is where an instance connects to, by SOCKET, or HOSTNAME and PORT.
func Target(c tallyman.ServiceConfig, port uint16) (network, address string) {
	if c.Has("SOCKET") {
		return "unix", c.Text("SOCKET", "")
	}
	return "tcp", net.JoinHostPort(c.Text("HOSTNAME", "localhost"), c.Port("PORT", port))
}

// Where names Target: "6379" for the container's own loopback.
func Where(c tallyman.ServiceConfig, port uint16) string {
	network, address := Target(c, port)
	if network == "tcp" && Local(c) {
		return c.Port("PORT", port)
	}
	return address
}

// Local reports whether an instance asks the container itself. What the container's own
// files and variables say of logins is for that alone.
func Local(c tallyman.ServiceConfig) bool {
	return c.Has("SOCKET") || Loopback(c.Text("HOSTNAME", "localhost"))
}

// Loopback reports whether a host is the machine that asks.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// Flag is the value of an option in a command line, written "--name value" or
// "--name=value"; of a short one also "-nvalue".
func Flag(args []string, names ...string) (string, bool) {
	for i, arg := range args {
		for _, name := range names {
			if arg == name && i+1 < len(args) {
				return args[i+1], true
			}
			if v, ok := strings.CutPrefix(arg, name+"="); ok {
				return v, true
			}
			if len(name) == 2 && name[0] == '-' && name[1] != '-' && len(arg) > 2 && strings.HasPrefix(arg, name) {
				return arg[2:], true
			}
		}
	}
	return "", false
}

// FirstEnv is the first of some variables of the container that is there and not empty.
func FirstEnv(in tallyman.Inside, names ...string) string {
	for _, name := range names {
		if v, ok := in.Getenv(name); ok && v != "" {
			return v
		}
	}
	return ""
}

// OnLoopback reports whether a URL leads to the container itself; an empty one does.
// There, a certificate that nobody vouches for is taken.
func OnLoopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Host == "" || Loopback(u.Hostname()))
}

// Join is where a socket that listens on an address can be reached from inside.
func Join(ip string, port uint16) string {
	switch ip {
	case "", "0.0.0.0":
		ip = "127.0.0.1"
	case "::":
		ip = "localhost"
	}
	return net.JoinHostPort(ip, strconv.Itoa(int(port)))
}
