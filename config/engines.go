// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"tallyman/internal/dockerapi"
)

// Engine is one of several Docker engines.
type Engine struct {
	// Name of the engine on the page and in labels; unique. Needed.
	Name string `yaml:"name"`
	// Address of the engine, unix:///path or tcp://host:port. This or context.
	Address string `yaml:"address"`
	// Context of the docker command, from which address and certificates come.
	Context string `yaml:"context"`
	// Name of the engine's machine in the label host; unique. Default the
	// setting host for the first unix engine, else the engine's name.
	Host string `yaml:"host"`
	// Directory with ca.pem, cert.pem and key.pem, in place of the next three.
	CertPath string `yaml:"cert_path"`
	// File with the CA certificates that may have signed the engine's. Default the system's.
	CA string `yaml:"ca"`
	// File with the certificate that tallyman shows to the engine.
	Cert string `yaml:"cert"`
	// File with its key.
	Key string `yaml:"key"`
	// Name that the engine's certificate must have. Default that of the address.
	ServerName string `yaml:"server_name"`
	// Take any certificate of the engine's. Default false.
	Insecure bool `yaml:"insecure"`
	// Allow tcp without TLS to another machine: whoever is on the way has root
	// on the engine's machine. Default false.
	Plain bool `yaml:"plain"`
	// How numbers of containers are collected: auto (the kernel's files, and
	// the engine's stats API for containers whose files cannot be reached) or
	// api. Default auto.
	Collect string `yaml:"collect"`
}

// Endpoint is an engine as it is reached.
type Endpoint struct {
	Name, Host string
	// Address is unix:///path or tcp://host:port.
	Address string
	// TLS is set for an encrypted connection.
	TLS *dockerapi.TLS
	// APIVersion is set when it is not to be negotiated.
	APIVersion string
	// API asks for the stats API in place of the kernel's files.
	API bool
}

// Endpoints are the engines to watch: those of engines, else the one of
// docker, found as the docker command finds it. The files of contexts are
// read; the network is not touched.
func (c *Config) Endpoints() ([]Endpoint, error) {
	list := c.Engines
	key := func(i int) string { return fmt.Sprintf("engines[%d]", i) }
	if len(list) == 0 {
		e, err := c.dockerEngine()
		if err != nil {
			return nil, err
		}
		list = []Engine{e}
		key = func(int) string { return "docker" }
	}
	var out []Endpoint
	local := false
	for i, e := range list {
		p, err := c.endpoint(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key(i), err)
		}
		if p.Host == "" && strings.HasPrefix(p.Address, "unix://") && !local {
			p.Host, local = c.Host, true
		}
		p.Host = cmp.Or(p.Host, p.Name)
		for _, o := range out {
			switch {
			case o.Name == p.Name:
				return nil, fmt.Errorf("%s: two engines are called %q; give each a name of its own", key(i), p.Name)
			case o.Host == p.Host:
				return nil, fmt.Errorf("%s: %q and %q have the same host %q; set host for one of them", key(i), o.Name, p.Name, p.Host)
			case o.Address == p.Address:
				return nil, fmt.Errorf("%s: %q and %q have the same address %s; leave one of them out", key(i), o.Name, p.Name, p.Address)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (c *Config) endpoint(e Engine) (Endpoint, error) {
	p := Endpoint{Name: e.Name, Host: e.Host, Address: e.Address, APIVersion: c.dockerEnv["DOCKER_API_VERSION"], API: e.Collect == "api"}
	if !nameForm.MatchString(e.Name) {
		return p, fmt.Errorf("name: %q is not possible; write letters, digits, dots, dashes and underscores, at most 63", e.Name)
	}
	if e.Collect != "" && e.Collect != "auto" && e.Collect != "api" {
		return p, fmt.Errorf("collect: %q is not known; write auto or api", e.Collect)
	}
	files := dockerapi.TLS{CA: e.CA, Cert: e.Cert, Key: e.Key, ServerName: e.ServerName, Insecure: e.Insecure}
	if e.CertPath != "" {
		if files.CA+files.Cert+files.Key != "" {
			return p, errors.New("cert_path: it stands for ca, cert and key; write it or them")
		}
		files.CA, files.Cert, files.Key = filepath.Join(e.CertPath, "ca.pem"), filepath.Join(e.CertPath, "cert.pem"), filepath.Join(e.CertPath, "key.pem")
	}
	switch {
	case e.Address != "" && e.Context != "":
		return p, errors.New("address and context: write one of the two")
	case e.Context != "":
		if files != (dockerapi.TLS{}) {
			return p, errors.New("context: it brings its own certificates; leave the others out")
		}
		var err error
		if p.Address, files, err = c.readContext(e.Context); err != nil {
			return p, err
		}
	case e.Address == "":
		return p, errors.New("address: it is missing; write for example tcp://10.0.0.2:2376")
	}
	return p, p.secure(files, e.Plain)
}

// secure checks the address and sets TLS.
func (p *Endpoint) secure(files dockerapi.TLS, plain bool) error {
	encrypted := files != (dockerapi.TLS{})
	if path, ok := strings.CutPrefix(p.Address, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("address: %q is no address of an engine; write for example unix:///var/run/docker.sock", p.Address)
		}
		return nil // certificates are of no use there, as for the docker command
	}
	u, err := url.Parse(p.Address)
	switch {
	case err == nil && u.Scheme == "ssh":
		return errors.New("address: ssh is not supported; use tcp with certificates, or forward the engine's socket with ssh -L and write unix:///path")
	case err != nil || u.Scheme != "tcp" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "":
		return fmt.Errorf("address: %q is no address of an engine; write for example unix:///var/run/docker.sock or tcp://10.0.0.2:2376", withoutUser(p.Address))
	case u.Port() == "":
		return fmt.Errorf("address: %q has no port; write for example %s:2376", p.Address, strings.TrimSuffix(p.Address, "/"))
	}
	p.Address = strings.TrimSuffix(p.Address, "/")
	if encrypted {
		p.TLS = &files
		return nil
	}
	if !plain && !isLoopback(u.Hostname()) {
		return fmt.Errorf("address: %s would be asked without TLS, and whoever is on the way would have root there; give ca, cert and key, or set plain: true", p.Address)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func withoutUser(address string) string {
	if u, err := url.Parse(address); err == nil && u.User != nil {
		u.User = nil
		return u.String()
	}
	return address
}

// The variables of the docker command.
var dockerVariables = []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION", "HOME", "XDG_RUNTIME_DIR"}

// defaultSocket is where a root engine listens.
const defaultSocket = "/var/run/docker.sock"

// dockerEngine finds the one engine as the docker command does: an address or
// context that is set, $DOCKER_HOST, $DOCKER_CONTEXT, the current context, the
// local socket; of the last also the one of a rootless engine.
func (c *Config) dockerEngine() (Engine, error) {
	e := Engine{Name: "local", Address: c.Docker.Host, Context: c.Docker.Context, CertPath: c.Docker.CertPath, Insecure: c.Docker.Insecure, Plain: c.Docker.Plain, Collect: c.Docker.Collect}
	env := c.dockerEnv
	if e.Address == "" && e.Context == "" {
		e.Address = env["DOCKER_HOST"]
	}
	if e.Address == "" && e.Context == "" {
		e.Context = env["DOCKER_CONTEXT"]
	}
	if e.Address == "" && e.Context == "" {
		current, err := c.currentContext()
		if err != nil {
			return e, err
		}
		e.Context = current
	}
	if e.Context == "default" {
		e.Context = ""
	}
	if e.Address == "" && e.Context == "" {
		e.Address = "unix://" + defaultSocket
		if dir := env["XDG_RUNTIME_DIR"]; dir != "" && !exists(cmp.Or(c.rootSocket, defaultSocket)) && exists(filepath.Join(dir, "docker.sock")) {
			e.Address = "unix://" + filepath.Join(dir, "docker.sock")
		}
	}
	if strings.HasPrefix(e.Address, "tcp://") && e.CertPath == "" && (env["DOCKER_TLS_VERIFY"] != "" || env["DOCKER_TLS"] != "" || env["DOCKER_CERT_PATH"] != "") {
		e.CertPath = cmp.Or(env["DOCKER_CERT_PATH"], c.dockerDir())
		e.Insecure = e.Insecure || env["DOCKER_TLS_VERIFY"] == ""
	}
	return e, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// dockerDir is where the docker command keeps its settings.
func (c *Config) dockerDir() string {
	return cmp.Or(c.dockerEnv["DOCKER_CONFIG"], filepath.Join(cmp.Or(c.dockerEnv["HOME"], "/root"), ".docker"))
}

// currentContext is the one that docker context use has set, empty without one.
func (c *Config) currentContext() (string, error) {
	name := filepath.Join(c.dockerDir(), "config.json")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the docker command's settings: %w", err)
	}
	var settings struct{ CurrentContext string }
	if err := json.Unmarshal(text, &settings); err != nil {
		return "", fmt.Errorf("the docker command's settings %s are no JSON (%w); mend them, or set docker.host", name, err)
	}
	return settings.CurrentContext, nil
}

// contextMeta is meta.json of a context.
type contextMeta struct {
	Name      string
	Endpoints map[string]struct {
		Host          string
		SkipTLSVerify bool
	}
}

// readContext finds a context of the docker command: contexts/meta/<sha256 of
// the name>/meta.json, and its certificates under contexts/tls.
func (c *Config) readContext(name string) (address string, files dockerapi.TLS, err error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	dir := filepath.Join(c.dockerDir(), "contexts")
	text, err := os.ReadFile(filepath.Join(dir, "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", files, fmt.Errorf("context: there is no context %q under %s%s", name, dir, c.knownContexts(dir))
	}
	if err != nil {
		return "", files, fmt.Errorf("context %q: %w", name, err)
	}
	var meta contextMeta
	if err := json.Unmarshal(text, &meta); err != nil {
		return "", files, fmt.Errorf("context %q: its meta.json is no JSON: %w", name, err)
	}
	docker, ok := meta.Endpoints["docker"]
	if !ok || docker.Host == "" {
		return "", files, fmt.Errorf("context %q has no Docker endpoint; choose another", name)
	}
	files.Insecure = docker.SkipTLSVerify
	for file, to := range map[string]*string{"ca.pem": &files.CA, "cert.pem": &files.Cert, "key.pem": &files.Key} {
		if path := filepath.Join(dir, "tls", id, "docker", file); exists(path) {
			*to = path
		}
	}
	return docker.Host, files, nil
}

// knownContexts names the contexts that there are, for an error.
func (c *Config) knownContexts(dir string) string {
	found, _ := filepath.Glob(filepath.Join(dir, "meta", "*", "meta.json")) // the pattern is well-formed
	var names []string
	for _, f := range found {
		var meta contextMeta
		if text, err := os.ReadFile(f); err == nil && json.Unmarshal(text, &meta) == nil && meta.Name != "" {
			names = append(names, meta.Name)
		}
	}
	if len(names) == 0 {
		return "; it has none"
	}
	slices.Sort(names)
	return "; it has " + strings.Join(names, ", ")
}
