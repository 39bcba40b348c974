// SPDX-License-Identifier: Apache-2.0

package host

import (
	"regexp"
	"slices"
	"strings"
)

// mount is one line of mountinfo.
type mount struct {
	device, point, fstype string
	readOnly              bool
}

// Left out are node_exporter's defaults: file systems without a disk behind
// them, and the mounts that containers have.
var (
	pointExcluded = regexp.MustCompile(`^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`)
	typeExcluded  = regexp.MustCompile(`^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$`)
)

// parseMounts reads the text of /proc/<pid>/mountinfo,
//
//	42 27 254:0 /a /mnt/a\040b rw,relatime shared:1 - ext4 /dev/vda rw
//
// and returns the mounts sorted by mount point. Of several on one point the
// last is taken, which hides the others. The library's parser makes four maps
// for each of the hundreds of mounts that containers have, leaves the escapes
// and reads no more than 1 MiB.
func parseMounts(text string) []mount {
	byPoint := map[string]mount{}
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		if !ok {
			continue
		}
		f, g := strings.Fields(left), strings.Fields(right)
		if len(f) < 6 || len(g) < 2 {
			continue
		}
		m := mount{device: unescape(g[1]), point: unescape(f[4]), fstype: g[0]}
		if !strings.HasPrefix(m.point, "/") {
			continue
		}
		m.readOnly = slices.Contains(strings.Split(f[5], ","), "ro") ||
			len(g) > 2 && slices.Contains(strings.Split(g[2], ","), "ro")
		byPoint[m.point] = m
	}
	var all []mount
	for _, m := range byPoint {
		if !pointExcluded.MatchString(m.point) && !typeExcluded.MatchString(m.fstype) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b mount) int { return strings.Compare(a.point, b.point) })
	return all
}

// unescape turns the kernel's octal escapes (blank, tab, newline, backslash)
// back.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) && s[i+1] < '4' {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
