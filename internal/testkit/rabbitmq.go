// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// RabbitImage is made once of Debian's package and stays.
const RabbitImage = "tallyman-test/rabbitmq"

// Rabbit is a real RabbitMQ in a container.
type Rabbit struct {
	d  *Docker
	id string
	// Address is host and port for AMQP; they stay the same over a restart.
	Address string
}

// StartRabbit starts a RabbitMQ with the user guest, password guest. It takes half a
// minute the first time, so tests that want it are asked for with TEST_RABBITMQ=1 and
// skipped without.
func (d *Docker) StartRabbit() *Rabbit {
	d.t.Helper()
	if os.Getenv("TEST_RABBITMQ") == "" {
		d.t.Skip("a real RabbitMQ is used with TEST_RABBITMQ=1 only")
	}
	d.rabbitImage()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	r := &Rabbit{d: d, Address: l.Addr().String()}
	_ = l.Close()
	// The package's scripts did not run: no users, no shell.
	script := `printf 'root:x:0:0:root:/root:/bin/sh\nrabbitmq:x:0:0::/var/lib/rabbitmq:/bin/sh\n' >/etc/passwd; printf 'root:x:0:\n' >/etc/group
/bin/busybox --install -s /bin; chmod 1777 /tmp
export HOME=/root RABBITMQ_LOGS=- RABBITMQ_NODENAME=rabbit@rabbit RABBITMQ_ENABLED_PLUGINS_FILE=/etc/rabbitmq/enabled_plugins
mkdir -p /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq /root
echo '[].' >/etc/rabbitmq/enabled_plugins; echo 'loopback_users = none' >/etc/rabbitmq/rabbitmq.conf
exec /usr/lib/rabbitmq/bin/rabbitmq-server`
	r.id = d.Cmd("run", "-d", "--label", d.Label, "--name", d.Name("rabbit"), "--hostname", "rabbit", "-p", r.Address+":5672", RabbitImage, "/bin/busybox", "sh", "-c", script)
	r.Wait()
	return r
}

// Kill ends it with SIGKILL.
func (r *Rabbit) Kill() {
	r.d.t.Helper()
	r.d.Cmd("kill", "-s", "KILL", r.id)
}

// Start starts it again, with what it had on its disk. It does not wait.
func (r *Rabbit) Start() {
	r.d.t.Helper()
	r.d.Cmd("start", r.id)
}

// Wait waits until it speaks AMQP.
func (r *Rabbit) Wait() {
	r.d.t.Helper()
	Eventually(r.d.t, 2*time.Minute, "RabbitMQ answers", func() error {
		c, err := net.DialTimeout("tcp", r.Address, time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1))
		return err
	})
}

// rabbitImage makes the image when it is missing.
func (d *Docker) rabbitImage() {
	d.t.Helper()
	if _, err := d.May("image", "inspect", RabbitImage); err == nil {
		return
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		d.t.Fatalf("mmdebstrap is needed for the image %s: %v", RabbitImage, err)
	}
	tar := filepath.Join(d.t.TempDir(), "rabbitmq.tar")
	if out, err := Run(10*time.Minute, nil, "mmdebstrap", "--quiet", "--variant=extract", "--include=rabbitmq-server,busybox-static", "bookworm", tar); err != nil {
		d.t.Fatalf("mmdebstrap: %v\n%s", err, lastLines(out, 10))
	}
	d.Cmd("import", tar, RabbitImage)
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
