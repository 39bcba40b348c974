// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/fsx"
)

// unlockRoot is how the root directory of the host is reached from a container.
const unlockRoot = "`--pid=host --cap-add SYS_PTRACE`, or `-v /:/rootfs:ro,rslave`"

var errNoRoot = &lack{tallyman.Lacking, "The root directory of the host cannot be reached from here.", unlockRoot}

// rootFile reads a file of the host below its root directory, at most so many bytes of it.
// Links lead where they would lead on the host.
func (s *Source) rootFile(name string, most int64) ([]byte, error) {
	if s.o.Root == "" {
		return nil, fs.ErrNotExist
	}
	root, err := fsx.OpenRoot(s.o.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	root.Links = true
	f, err := root.Open("/", name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, most)
}

// readAtMost reads a file that should not be longer.
func readAtMost(f *os.File, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("it is longer than %d bytes", most)
	}
	return data, nil
}

var (
	osInfo    = gauge("node_os_info", "", "Always 1; the labels are what /etc/os-release says of the host")
	osVersion = gauge("node_os_version", "", "Version of the host's system, as a number of its first two parts")
	osSupport = gauge("node_os_support_end_timestamp_seconds", "seconds", "Unix time at which the support of the host's system ends")
)

// maxRelease bounds os-release, and the file of SELinux.
const maxRelease = 64 << 10

var osCollector = collector{
	name: "os", what: "name of the system", every: 10 * time.Minute, aside: true, descs: []*tallyman.Desc{osInfo, osVersion, osSupport},
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.o.Root == "" {
				return errNoRoot
			}
			r, err := s.release()
			if err != nil {
				return missing(err, "The host has no os-release.")
			}
			to.Add(osInfo, 1, "build_id", r["BUILD_ID"], "id", r["ID"], "id_like", r["ID_LIKE"], "image_id", r["IMAGE_ID"], "image_version", r["IMAGE_VERSION"],
				"name", r["NAME"], "pretty_name", r["PRETTY_NAME"], "variant", r["VARIANT"], "variant_id", r["VARIANT_ID"], "version", r["VERSION"],
				"version_codename", r["VERSION_CODENAME"], "version_id", r["VERSION_ID"])
			if v, ok := float(majorMinor(r["VERSION_ID"])); ok && v > 0 {
				to.Add(osVersion, v, "id", r["ID"], "id_like", r["ID_LIKE"], "name", r["NAME"])
			}
			if end, err := time.Parse(time.DateOnly, r["SUPPORT_END"]); err == nil {
				to.Add(osSupport, float64(end.Unix()))
			}
			return nil
		}
	},
}

// release is the host's os-release.
func (s *Source) release() (map[string]string, error) {
	data, err := s.rootFile("etc/os-release", maxRelease)
	if err != nil {
		data, err = s.rootFile("usr/lib/os-release", maxRelease)
	}
	return parseRelease(string(data)), err
}

// parseRelease reads os-release: lines KEY=value, as a shell would quote them.
func parseRelease(text string) map[string]string {
	r := map[string]string{}
	for one := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			quote := value[0]
			value = value[1 : n-1]
			if quote == '"' {
				value = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(value)
			}
		}
		r[key] = clip.Text(value, 256)
	}
	return r
}

// majorMinor is the beginning of a version that is a number: 12, 22.04.
func majorMinor(version string) string {
	dot := false
	for i, c := range []byte(version) {
		switch {
		case c >= '0' && c <= '9':
		case c == '.' && !dot && i > 0:
			dot = true
		default:
			return version[:i]
		}
	}
	return version
}

var dmiInfo = gauge("node_dmi_info", "", "Always 1; the labels are what the firmware says of the machine")

// dmiLabels are the files of dmi, which are the labels but for one.
var dmiLabels = []string{"bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial", "board_vendor", "board_version",
	"chassis_asset_tag", "chassis_serial", "chassis_vendor", "chassis_version", "product_family", "product_name", "product_serial", "product_sku", "product_uuid",
	"product_version", "sys_vendor"}

var dmiCollector = collector{
	name: "dmi", what: "names of the machine", every: time.Hour, aside: true, descs: []*tallyman.Desc{dmiInfo},
	open: func(s *Source) reading {
		return func(to *sink) error {
			dir := filepath.Join(s.o.Sys, "class/dmi/id")
			if _, err := os.Stat(dir); err != nil {
				return missing(err, "The firmware of this host says nothing of the machine (DMI).")
			}
			var pairs []string
			for _, label := range dmiLabels {
				// Serials may be read by root alone.
				if value, ok := text(filepath.Join(dir, label)); ok {
					pairs = append(pairs, strings.Replace(label, "sys_vendor", "system_vendor", 1), clip.Text(value, 256))
				}
			}
			to.Add(dmiInfo, 1, pairs...)
			return nil
		}
	},
}

var (
	selinuxEnabled = gauge("node_selinux_enabled", "", "1 when SELinux is on, else 0")
	selinuxCurrent = gauge("node_selinux_current_mode", "", "1 when SELinux enforces, 0 when it only tells")
	selinuxConfig  = gauge("node_selinux_config_mode", "", "What SELinux is configured to: 1 to enforce, 0 to tell, -1 to be off")
)

var selinuxCollector = collector{
	name: "selinux", what: "SELinux", every: time.Minute, aside: true, descs: []*tallyman.Desc{selinuxEnabled, selinuxCurrent, selinuxConfig},
	open: func(s *Source) reading {
		return func(to *sink) error {
			enforces, on := text(filepath.Join(s.o.Sys, "fs/selinux/enforce"))
			to.Add(selinuxEnabled, number(on))
			if !on {
				return nil
			}
			if v, ok := float(enforces); ok {
				to.Add(selinuxCurrent, v)
			}
			data, err := s.rootFile("etc/selinux/config", maxRelease)
			if err != nil {
				return nil // the host's root cannot be reached, or it has none
			}
			for one := range bytes.Lines(data) {
				if value, ok := bytes.CutPrefix(bytes.TrimSpace(one), []byte("SELINUX=")); ok {
					switch string(value) {
					case "enforcing":
						to.Add(selinuxConfig, 1)
					case "permissive":
						to.Add(selinuxConfig, 0)
					case "disabled":
						to.Add(selinuxConfig, -1)
					}
				}
			}
			return nil
		}
	},
}
