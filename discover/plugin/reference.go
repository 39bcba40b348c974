// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"tallyman"
)

// maxFile is how large a file may be that holds a value, in bytes.
const maxFile = 4 << 10

// reference is a value that stands for another: all of it is one, or it is text.
var reference = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\}|(/[^\s"]*)|\{(env|file|agentenv|agentfile|kv):([^}]+)\})$`)

func isReference(v string) bool { return reference.MatchString(v) }

// parts are what a reference speaks of.
func parts(v string) (scheme, name string) {
	m := reference.FindStringSubmatch(v)
	switch {
	case m == nil:
		return "", ""
	case m[1] != "":
		return "env", m[1]
	case m[2] != "":
		return "env", m[2]
	case m[3] != "":
		return "file", m[3]
	}
	return m[4], m[5]
}

// refuses says why a value may not stand where it stands: references to what is the
// agent's own are for the configuration alone.
func (b *Book) refuses(v string, origin tallyman.ServiceOrigin) string {
	switch scheme, _ := parts(v); {
	case (scheme == "agentenv" || scheme == "agentfile" || scheme == "kv") && origin != tallyman.FromRule:
		return "refers to what is tallyman's own; only rules of the configuration may"
	case scheme == "kv":
		return "refers to a key-value store; that comes with a later version"
	}
	return ""
}

// Resolve gives a wish its values: those of the container's environment and files, and
// for rules those of tallyman's own. What cannot be found is an error that names the
// key; it never becomes an empty value.
func (b *Book) Resolve(in tallyman.Inside, w *tallyman.ServiceWish) (tallyman.ServiceConfig, error) {
	out := map[string][]string{}
	for _, key := range w.Config.Keys() {
		for _, v := range w.Config.List(key) {
			got, err := b.resolve(in, v)
			if err != nil {
				return tallyman.ServiceConfig{}, tallyman.Faulty(tallyman.ConfigFault, "", "%s: %w", key, err)
			}
			for _, known := range append(tallyman.ServiceKeys(), w.Kind.Keys...) {
				if known.Name == key && got != v {
					if err := checkValue(known, got); err != nil {
						return tallyman.ServiceConfig{}, tallyman.Faulty(tallyman.ConfigFault, "", "%s: what it refers to %w", key, err)
					}
				}
			}
			out[key] = append(out[key], got)
		}
	}
	return tallyman.NewServiceConfig(out), nil
}

func (b *Book) resolve(in tallyman.Inside, v string) (string, error) {
	scheme, name := parts(v)
	switch scheme {
	case "env":
		if got, ok := in.Getenv(name); ok {
			return got, nil
		}
		return "", fmt.Errorf("the container has no variable %s, nor %s_FILE", name, name)
	case "file":
		text, err := in.ReadFile(name)
		switch {
		case err != nil:
			return "", fmt.Errorf("the file %s of the container cannot be read", short(name))
		case len(text) > maxFile:
			return "", fmt.Errorf("the file %s has more than %d KiB", short(name), maxFile>>10)
		}
		return strings.TrimSuffix(string(text), "\n"), nil
	case "agentenv":
		if got := b.o.Getenv(name); got != "" {
			return got, nil
		}
		return "", fmt.Errorf("tallyman has no variable %s", name)
	case "agentfile":
		return b.secretFile(name)
	}
	return v, nil
}

// secretFile reads a file below the directory of secrets.
func (b *Book) secretFile(name string) (string, error) {
	if b.o.Secrets == "" {
		return "", errors.New("plugins.secrets names no directory of files that rules may refer to")
	}
	root, err := os.OpenRoot(b.o.Secrets)
	if err != nil {
		return "", fmt.Errorf("the directory of plugins.secrets: %w", err)
	}
	defer root.Close()
	below, err := filepath.Rel(b.o.Secrets, name)
	if !filepath.IsAbs(name) {
		below, err = name, nil
	}
	if err != nil {
		return "", fmt.Errorf("the file %s is not below plugins.secrets", short(name))
	}
	info, err := root.Stat(below)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("the file %s below plugins.secrets cannot be read, or has more than %d KiB", short(name), maxFile>>10)
	}
	text, err := root.ReadFile(below)
	return strings.TrimSuffix(string(text), "\n"), err
}
