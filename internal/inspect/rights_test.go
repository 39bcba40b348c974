// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"strings"
	"testing"
)

func TestRights(t *testing.T) {
	const good = `"Config":{"User":"1000","Image":"shop/api:1.2"}`
	for _, c := range []struct{ doc, want string }{
		{`{` + good + `,"HostConfig":{"Memory":1048576,"ReadonlyRootfs":true,"NetworkMode":"shop_default"}}`, ""},
		{`{}`, "root writable nolimit"},
		{`{"Config":{"User":"0:0","Image":"reg:5000/shop/api"},"HostConfig":{"Privileged":true,"PidMode":"host","NetworkMode":"host","CapAdd":["CAP_SYS_ADMIN","NET_ADMIN"],"Memory":1,"ReadonlyRootfs":true}}`,
			"privileged hostpid hostnetwork capabilities(SYS_ADMIN, NET_ADMIN) root latest"},
		{`{` + good + `,"HostConfig":{"Memory":1,"ReadonlyRootfs":true,"PublishAllPorts":true,"PortBindings":{"80/tcp":["8080",":::8080","127.0.0.1:81"],"443/tcp":["any"]}}}`,
			"public(all that the image exposes, any, 8080)"},
		{`{` + good + `,"HostConfig":{"Memory":1,"ReadonlyRootfs":true,"PortBindings":{"80/tcp":["127.0.0.1:81","10.0.0.1:82"]}}}`, ""},
		{`{` + good + `,"HostConfig":{"Memory":1,"ReadonlyRootfs":true},"Mounts":{"/a":{"Source":"/var/run/docker.sock","RW":true},"/b":{"Source":"/"},"/c":{"Source":"/run/"},"/d":{"Source":"/srv/docker.sock.d"}}}`,
			"socket(/var/run/docker.sock, through /, through /run/)"},
		{`{"Config":{"User":"root:staff","Image":"api:latest"},"HostConfig":{"Memory":1,"ReadonlyRootfs":true}}`, "root latest"},
		{`{"Config":{"User":"rooty","Image":"api@sha256:00"},"HostConfig":{"Memory":1,"ReadonlyRootfs":true}}`, ""},
	} {
		rights, err := Rights([]byte(c.doc))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rights {
			if r.Detail != "" {
				got = append(got, fmt.Sprintf("%s(%s)", r.ID, r.Detail))
			} else {
				got = append(got, string(r.ID))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s\nhas   %s\nwants %s", c.doc, strings.Join(got, " "), c.want)
		}
	}
	if _, err := Rights([]byte("no JSON")); err == nil {
		t.Error("no error for what is no document")
	}
}

func TestHas(t *testing.T) {
	const doc = `{"Config":{"Env":{"LOG_LEVEL":"debug"},"Cmd":["serve","--verbose"],"Image":"shop/api:1.2"},"HostConfig":{"Memory":268435456,"NetworkMode":"host","Privileged":true}}`
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"HostConfig.NetworkMode", "host", true},
		{"networkmode", "HOST", true},
		{"networkmode", "bridge", false},
		{"mode", "host", false}, // no part of a word
		{"privileged", "yes", true},
		{"privileged", "no", false},
		{"readonlyrootfs", "no", true},
		{"readonlyrootfs", "yes", false},
		{"memory", "268435456", true},
		{"cmd", "--verbose", true},
		{"env.log_level", "debug", true},
		{"image", "api:1", true},
	} {
		if got, err := Has([]byte(doc), c.name, c.value); err != nil || got != c.want {
			t.Errorf("%s=%s: %v, %v; want %v", c.name, c.value, got, err, c.want)
		}
	}
}
