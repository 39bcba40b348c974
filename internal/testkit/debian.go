// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Debian is an image of packages of Debian, made when it is missing, once on a machine,
// and kept. No script of a package has run in it: start it with StartDebian.
func (d *Docker) Debian(name string, packages ...string) string {
	d.t.Helper()
	image := "tallyman-test/" + name
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "tallyman-test-"+name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.May("image", "inspect", image); err == nil {
		return image
	}
	mmdebstrap := Need(d.t, "mmdebstrap", "install Debian's package, the image "+image+" is made with it")
	tar := filepath.Join(d.t.TempDir(), name+".tar")
	include := "--include=" + strings.Join(append(packages, "busybox-static"), ",")
	if out, err := Run(10*time.Minute, nil, mmdebstrap, "--quiet", "--variant=extract", include, "bookworm", tar); err != nil {
		d.t.Fatalf("mmdebstrap: %v\n%s", err, lastLines(out, 10))
	}
	d.Cmd("import", tar, image)
	return image
}

// prelude does what the scripts of the packages would have done.
const prelude = `printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n'"$USERS" >/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n'"$GROUPS_" >/etc/group
/bin/busybox --install -s /bin; chmod 1777 /tmp; mkdir -p /root /run
`

// StartDebian runs a script of busybox' shell in an image of Debian, and returns the
// container's full id. users are accounts that it needs, by name. Every tallyman of the
// machine would ask it, so that its own numbers would not be those that a test has caused: it
// is left alone, unless an option says --label tallyman.enable=true.
func (d *Docker) StartDebian(image, script string, users []string, options ...string) string {
	d.t.Helper()
	var passwd, group strings.Builder
	for i, u := range users {
		id := string(rune('1'+i)) + "05"
		passwd.WriteString(u + ":x:" + id + ":" + id + "::/var/lib/" + u + `:/bin/sh\n`)
		group.WriteString(u + ":x:" + id + `:\n`)
	}
	args := append([]string{"run", "-d", "--label", d.Label, "--label", "tallyman.enable=false", "-e", "USERS=" + passwd.String(), "-e", "GROUPS_=" + group.String()}, options...)
	return d.Cmd(append(args, image, "/bin/busybox", "sh", "-c", prelude+script)...)
}
