// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"tallyman"
)

const (
	maxPacket = 4 << 20
	maxRows   = 5000
)

// conn is the connection, with the first login that the server takes.
func (i *instance) conn(ctx context.Context) (*sql.Conn, error) {
	if i.db != nil {
		c, err := i.db.Conn(ctx)
		if err == nil {
			return c, nil
		}
		i.Close()
		return nil, fault(err)
	}
	err := tallyman.Faulty(tallyman.AuthFault, fix, "nothing in the container says how to log in")
	for _, l := range i.logins {
		config, e := i.configure(l)
		if e != nil {
			return nil, e
		}
		connector, e := mysql.NewConnector(config)
		if e != nil {
			return nil, tallyman.Faulty(tallyman.ConfigFault, "", "the driver does not take the configuration")
		}
		db := sql.OpenDB(connector)
		db.SetMaxOpenConns(1)
		db.SetMaxIdleConns(1)
		var c *sql.Conn
		if c, e = db.Conn(ctx); e == nil {
			i.db = db
			return c, nil
		}
		_ = db.Close()
		err = fault(e)
		var known *tallyman.ServiceError
		if !errors.As(err, &known) || known.Fault != tallyman.AuthFault {
			return nil, err
		}
	}
	return nil, err
}

func (i *instance) configure(l login) (*mysql.Config, error) {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = l.user, l.password, i.database
	config.Net, config.Addr, config.TLSConfig = i.network, i.address, i.tls
	config.Params = map[string]string{"lock_wait_timeout": "2"}
	config.Logger = &mysql.NopLogger{}
	if l.socket != "" {
		config.Net, config.Addr = "unix", l.socket
	}
	if config.Net == "unix" {
		config.TLSConfig = "false"
	}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := i.in.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if config.TLSConfig != "false" { // what is packets cannot be seen
			return c, nil
		}
		return &bounded{Conn: c, over: &i.over}, nil
	}
	return config, nil
}

// bounded is a connection that ends when its server announces a packet that is too large.
type bounded struct {
	net.Conn
	over *atomic.Bool // is set then, for the driver does not say why a connection has ended
	head [4]byte
	have int // bytes of the head
	skip int // bytes of the packet that are to come
}

// Read implements net.Conn.
func (c *bounded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.look(p[:n]) {
		c.over.Store(true)
		return 0, tallyman.ErrLimit
	}
	return n, err
}

// SyscallConn lets the driver see that a connection it has kept was closed by the server.
func (c *bounded) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func (c *bounded) look(b []byte) bool {
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(b))
			c.skip, b = c.skip-n, b[n:]
			continue
		}
		n := copy(c.head[c.have:], b)
		c.have, b = c.have+n, b[n:]
		if c.have == len(c.head) {
			c.have, c.skip = 0, int(c.head[0])|int(c.head[1])<<8|int(c.head[2])<<16
			if c.skip > maxPacket {
				return false
			}
		}
	}
	return true
}

// fault sorts an error; texts of the server name the user and stay inside.
func fault(err error) error {
	var e *mysql.MySQLError
	var known *tallyman.ServiceError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, mysql.ErrNativePassword), errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrUnknownPlugin):
		return tallyman.Faulty(tallyman.AuthFault, fix, "it wants a way to log in that is not spoken")
	case !errors.As(err, &e):
		return err
	}
	switch e.Number {
	case 1045, 1698, 1130, 1044, 3118, 3955:
		return tallyman.Faulty(tallyman.AuthFault, fix, "it refuses the login")
	case 1129:
		return tallyman.Faulty(tallyman.AuthFault, "FLUSH HOSTS", "it has blocked the host after too many errors")
	case 1049:
		return tallyman.Faulty(tallyman.ConfigFault, "Set DEFAULT DATABASE.", "the database does not exist")
	case 1040, 1203, 1226:
		return tallyman.Faulty(tallyman.DialFault, "", "all connections are taken")
	case 1142, 1143, 1227:
		return tallyman.Faulty(tallyman.PermissionFault, fix, "its account may not do that")
	case 1969, 3024, 1205:
		return tallyman.Faulty(tallyman.TimeoutFault, "", "a statement took longer than 2 s")
	}
	return tallyman.Faulty(tallyman.ParseFault, "", "it answers with the error %d", e.Number)
}

// denied reports whether an error means that something is not to be had: no right, or
// not in this version.
func denied(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Number {
	case 1142, 1143, 1227, 1064, 1146, 1193, 1235, 1969, 3024, 1205:
		return true
	}
	return false
}

// query reads an answer, by column in lower case; NULL is not there.
func query(ctx context.Context, c *sql.Conn, text string) (out []map[string]string, err error) {
	rows, err := c.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values := make([]sql.RawBytes, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() && len(out) < maxRows {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		one := make(map[string]string, len(names))
		for i, v := range values {
			if v != nil {
				one[lower(names[i])] = string(v)
			}
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

// lower is strings.ToLower for names of the server, which are ASCII.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
