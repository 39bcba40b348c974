// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// Real servers that nobody has said anything about are found by the agent, and asked
// with what their containers hold.
func TestServersAreFound(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	start := func(name, image, script string, users []string, options ...string) {
		d.StartDebian(image, script, users, append([]string{"--name", d.Name(name), "--label", "tallyman.enable=true"}, options...)...)
	}
	start("redis", d.Debian("redis", "redis-server", "redis-tools"), `exec redis-server --save '' --requirepass "$REDIS_PASSWORD"`, nil, "-e", "REDIS_PASSWORD=words")
	start("memcached", d.Debian("memcached", "memcached"), `exec memcached -u root -s /run/m.sock`, nil)
	start("beanstalkd", d.Debian("beanstalkd", "beanstalkd"), `exec beanstalkd -l 127.0.0.1 -p 11301`, nil)
	start("nginx", d.Debian("nginx", "nginx-light"), `mkdir -p /var/log/nginx /var/lib/nginx
echo 'user root; pid /tmp/nginx.pid; events {} http { access_log off; server { listen 81; location = /numbers { stub_status; } } }' >/etc/nginx/nginx.conf; exec nginx -g "daemon off;"`, nil)
	start("postgresql", d.Debian("postgresql", "postgresql-15"), `mkdir -p /data /var/run/postgresql; chown postgres /data /var/run/postgresql; B=/usr/lib/postgresql/15/bin
printf words >/tmp/pw; su postgres -c "$B/initdb -D /data -A scram-sha-256 --pwfile /tmp/pw -E UTF8 --locale=C -N"
exec su postgres -c "exec $B/postgres -D /data -c listen_addresses=127.0.0.1 -c fsync=off"`, []string{"postgres"}, "-e", "POSTGRES_PASSWORD=words")
	start("mysql", d.Debian("mariadb", "mariadb-server"), `mkdir -p /data /run/mysqld /etc/mysql
mariadb-install-db --no-defaults --user=root --datadir=/data --auth-root-authentication-method=socket --skip-test-db
exec mariadbd --no-defaults --user=root --datadir=/data --skip-networking --socket=/run/mysqld/mysqld.sock`, nil)
	start("haproxy", d.Debian("haproxy", "haproxy"), `printf 'global\n stats socket /tmp/h.sock level user\ndefaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\nfrontend a\n bind :80\n' >/tmp/h.cfg; exec haproxy -f /tmp/h.cfg`, nil)
	start("phpfpm", d.Debian("phpfpm", "php8.2-fpm"), `mkdir -p /run/php /etc/php/8.2/fpm/pool.d
printf '[www]\nuser = nobody\ngroup = nogroup\nlisten = /run/php/fpm.sock\npm.status_path = /numbers\npm = static\npm.max_children = 2\n' >/etc/php/8.2/fpm/pool.d/www.conf; exec php-fpm8.2 -F -O`, nil)
	start("nats", d.Debian("nats", "nats-server"), `exec nats-server -a 127.0.0.1 -m 8222`, nil)
	start("apache", d.Debian("apache", "apache2"), `mkdir -p /var/log/apache2 /var/www; M=/usr/lib/apache2/modules
printf "ServerRoot /etc/apache2\nPidFile /run/a.pid\nServerName shop\nListen 80\nUser nobody\nGroup nogroup\nErrorLog /dev/stderr\nDocumentRoot /var/www\nLoadModule mpm_event_module $M/mod_mpm_event.so\nLoadModule authz_core_module $M/mod_authz_core.so\nLoadModule authz_host_module $M/mod_authz_host.so\nLoadModule status_module $M/mod_status.so\n<Location /server-status>\nSetHandler server-status\nRequire local\n</Location>\n" >/etc/apache2/apache2.conf
exec apache2 -d /etc/apache2 -f /etc/apache2/apache2.conf -D FOREGROUND`, nil)

	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	for _, one := range []struct{ name, where, typ, up string }{
		{"redis", "6379", "REDIS", "redis_up"}, {"memcached", "/run/m.sock", "MEMCACHED", "memcached_up"}, {"beanstalkd", "11301", "BEANSTALKD", "beanstalkd_up"}, {"nginx", "stub_status", "NGINX", "nginx_up"},
		{"postgresql", "5432", "POSTGRESQL", "pg_up"}, {"mysql", "/run/mysqld/mysqld.sock", "MYSQL", "mysql_up"}, {"haproxy", "stats", "HAPROXY", "haproxy_up"},
		{"phpfpm", "pools", "PHPFPM", "phpfpm_up"}, {"nats", "http://localhost:8222", "NATS", "gnatsd_up"}, {"apache", "server-status", "APACHE", "apache_up"},
	} {
		testkit.Eventually(t, 90*time.Second, one.name+" is found and up", func() error {
			all := servicesOf(p, d.Name(one.name))
			s, ok := all[one.where]
			if !ok || len(all) != 1 || s.Type != one.typ || s.State != "up" || s.Origin != "detection" || s.Series == 0 || s.Dropped > 0 {
				return fmt.Errorf("there is %+v", all)
			}
			q := fmt.Sprintf(`%s{name=%q}`, one.up, d.Name(one.name))
			for _, points := range p.Query(q) {
				if points[len(points)-1].Value == 1 {
					return nil
				}
			}
			return fmt.Errorf("%s is not 1", q)
		})
	}
	var v struct{ Services []serviceOf }
	p.JSON("/api/tallyman/v1/services", &v)
	for _, s := range v.Services {
		t.Logf("%s %s: %d series", s.Type, s.Where, s.Series)
	}
}
