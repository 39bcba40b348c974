// SPDX-License-Identifier: Apache-2.0

// Package apache is the plugin APACHE: it reads the page of mod_status, which it finds in
// the configuration inside of the container.
package apache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

// snippet is what to add where there is no page.
const snippet = "<Location \"/server-status\">\n  SetHandler server-status\n  Require local\n</Location>"

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "APACHE", Aliases: []string{"HTTPD"}, Summary: "Apache httpd: requests, bytes, workers and connections, as its page server-status has them",
		Keys: append([]tallyman.ServiceKey{
			{Name: "STATS URL", Type: tallyman.URLKey, Help: "address of the page of mod_status", Example: "http://localhost/server-status?auto"},
			{Name: "HOST HEADER", Type: tallyman.TextKey, Help: "name of the virtual server, when the address does not tell it"},
			{Name: "URL CHECK", Type: tallyman.URLKey, Help: "address that the active check asks for in place of the page", Example: "http://localhost/"},
			{Name: "FILE", Type: tallyman.TextKey, Help: "access log and its format; taken, and not used yet", List: true},
		}, ask.LoginKeys()...),
		Metrics: []*tallyman.Desc{up, version, info, accesses, kilobytes, duration, cpuLoad, cpuTime, uptime, load, workers, processes, connections, scoreboard, generation},
		Charts: []tallyman.ServiceChart{
			{Title: "Requests", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "requests", Metric: accesses, Rate: true}}},
			{Title: "Workers", Lines: []tallyman.ServiceLine{{Name: "workers", Metric: workers, By: "state"}}},
			{Title: "Connections", Lines: []tallyman.ServiceLine{{Name: "connections", Metric: connections, By: "state"}}},
			{Title: "What workers do", Lines: []tallyman.ServiceLine{{Name: "workers", Metric: scoreboard, By: "state"}}},
			{Title: "Time of requests in milliseconds", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "time", Metric: duration, Rate: true}}},
			{Title: "KiB sent", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "sent", Metric: kilobytes, Rate: true}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string {
			if c.Has("STATS URL") {
				return ask.Shown(c.Text("STATS URL", ""))
			}
			return "server-status"
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect: "The image is `httpd`, `bitnami/apache`, `wordpress` or `php` with a tag that names apache, or a process is called `apache2`, or `httpd` where there is a configuration of Apache.",
			Free: "The page of `mod_status`, which Debian's packages, and so the images `php:*-apache` and `wordpress`, have on for the machine itself (`Require local`), where tallyman asks from. " +
				"Otherwise the `Location` that the configuration inside of the container has for it (64 files are read at most), on the ports that Apache listens on.",
			Account: "None. Where there is no page, as in the image `httpd`, load `mod_status` and add this; it can be reached from inside of the container alone:\n\n```\n" + snippet + "\n```",
			Notes: "The names and types are those of Lusitaniae/apache_exporter, compared with version 0.12. What differs: `apache_exporter_build_info` is about the exporter and left out. " +
				"With `ExtendedStatus Off` requests and bytes are not there.",
			Example: `[{"PluginType":"APACHE","Configuration":{"STATS URL":["http://localhost/server-status?auto"]}}]`,
		},
	}
}

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	image := f.Is("httpd", "bitnami/apache", "*/httpd") || f.Is("php", "wordpress", "drupal", "nextcloud") && strings.Contains(f.Tag, "apache")
	// The httpd of busybox has the same name.
	process := f.Runs("apache2") || f.Runs("httpd") && slices.ContainsFunc(configs, func(name string) bool { _, err := in.Stat(name); return err == nil })
	if !image && !process {
		return nil
	}
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{})}
}

var configs = []string{"/etc/apache2/apache2.conf", "/usr/local/apache2/conf/httpd.conf", "/opt/bitnami/apache/conf/httpd.conf", "/opt/bitnami/apache2/conf/httpd.conf", "/etc/httpd/conf/httpd.conf", "/etc/apache2/httpd.conf"}

// configured is what the configuration says: paths of the page, and ports.
type configured struct{ paths, ports []string }

const maxFiles = 64

// read reads the configuration with what it includes.
func read(in tallyman.Inside, names []string) (c configured) {
	files := 0
	seen := map[string]bool{}
	var one func(name, root string, depth int)
	one = func(name, root string, depth int) {
		if files++; files > maxFiles || depth > 16 || seen[name] {
			return
		}
		seen[name] = true
		text, err := in.ReadFile(name)
		if err != nil {
			return
		}
		location := ""
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) < 2 {
				if len(words) == 1 && strings.EqualFold(words[0], "</Location>") {
					location = ""
				}
				continue
			}
			value := strings.Trim(words[1], `"'>`)
			switch strings.ToLower(words[0]) {
			case "serverroot":
				root = value
			case "listen":
				port := value[strings.LastIndexByte(value, ':')+1:]
				if strings.Trim(port, "0123456789") == "" && port != "443" && !slices.Contains(c.ports, port) && !(len(words) > 2 && strings.EqualFold(words[2], "https")) {
					c.ports = append(c.ports, port)
				}
			case "<location":
				location = value
			case "sethandler":
				if strings.EqualFold(value, "server-status") && strings.HasPrefix(location, "/") && !strings.ContainsAny(location, "?#*[") && !slices.Contains(c.paths, location) && len(c.paths) < 4 {
					c.paths = append(c.paths, location)
				}
			case "include", "includeoptional":
				if !path.IsAbs(value) {
					value = path.Join(root, value)
				}
				if st, err := in.Stat(value); err == nil && st.IsDir() {
					value = path.Join(value, "*")
				}
				if !strings.ContainsAny(value, "*?[") {
					one(value, root, depth+1)
					continue
				}
				for _, name := range in.Glob(value) {
					one(name, root, depth+1)
				}
			}
		}
	}
	for _, name := range names {
		one(name, path.Dir(name), 0)
	}
	return c
}

type instance struct {
	in     tallyman.Inside
	client *ask.Client
	url    string // empty while it is looked for
	check  string
	tried  bool
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in, check: c.Text("URL CHECK", "")}
	for _, address := range []string{c.Text("STATS URL", ""), i.check} {
		if u, err := url.Parse(address); err != nil || address != "" && u.Host == "" {
			return nil, tallyman.Faulty(tallyman.ConfigFault, "Write it as http://localhost/server-status?auto.", "STATS URL or URL CHECK is no URL")
		}
	}
	if c.Has("STATS URL") {
		i.url = automatic(c.Text("STATS URL", ""))
	}
	i.client = ask.NewClient(in, &tls.Config{InsecureSkipVerify: ask.OnLoopback(i.url)})
	i.client.User, i.client.Password, i.client.Host = c.Text("USERNAME", ""), c.Text("PASSWORD", ""), c.Text("HOST HEADER", "")
	return i, nil
}

// automatic is the address of the page for machines.
func automatic(address string) string {
	if u, err := url.Parse(address); err == nil && u.RawQuery == "" {
		u.RawQuery = "auto"
		return u.String()
	}
	return address
}

// Close implements tallyman.Service.
func (i *instance) Close() { i.client.Close() }

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	if i.url != "" {
		fields, err := i.get(ctx, i.url)
		if err != nil {
			return err
		}
		give(s, fields)
		return nil
	}
	names := slices.Clone(configs)
	for _, p := range i.in.Processes() {
		if v, ok := ask.Flag(p.Args, "-f"); ok && path.IsAbs(v) {
			names = slices.Insert(names, 0, v)
		}
	}
	c := read(i.in, names)
	var ports []string
	for _, one := range i.in.Facts().Listening {
		if port := fmt.Sprint(one.Port); one.Network == "tcp" && one.Port != 443 && !slices.Contains(ports, port) && len(ports) < 4 {
			ports = append(ports, port)
		}
	}
	if i.in.Facts().Listening == nil {
		if ports = c.ports; len(ports) == 0 {
			ports = []string{"80", "8080"}
		}
	}
	paths := c.paths
	if !i.tried && !slices.Contains(paths, "/server-status") {
		paths = append(paths, "/server-status")
	}
	denied := error(nil)
	for _, at := range paths {
		for _, port := range ports {
			address := "http://localhost:" + port + at + "?auto"
			fields, err := i.get(ctx, address)
			var fault *tallyman.ServiceError
			switch {
			case err == nil:
				i.url = address
				give(s, fields)
				return nil
			case ctx.Err() != nil:
				return err
			case errors.As(err, &fault) && fault.Fault == tallyman.PermissionFault:
				denied = err
			}
		}
	}
	i.tried = true
	if denied != nil {
		return denied
	}
	return tallyman.Faulty(tallyman.ConfigFault, "Load mod_status and add this: "+strings.ReplaceAll(snippet, "\n", ""), "Apache has no page of mod_status")
}

func (i *instance) get(ctx context.Context, address string) (map[string]string, error) {
	a, err := i.client.Get(ctx, address)
	var fault *tallyman.ServiceError
	if errors.As(err, &fault) && fault.Fault == tallyman.AuthFault && i.client.User == "" {
		return nil, tallyman.Faulty(tallyman.PermissionFault, "Let the machine itself in at that location (Require local), or set USERNAME and PASSWORD.", "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return parse(a.Body)
}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	address := i.check
	if address == "" {
		address = i.url
	}
	if address == "" {
		return tallyman.Faulty(tallyman.ConfigFault, "Set URL CHECK.", "there is nothing to ask for")
	}
	_, err := i.client.Get(ctx, address)
	return err
}
