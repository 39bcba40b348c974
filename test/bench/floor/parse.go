// SPDX-License-Identifier: Apache-2.0

package floor

import "bytes"

func (c *container) add(v uint64) {
	if c.n < len(c.Values) {
		c.Values[c.n] = v
		c.n++
	}
}

func digits(b []byte) (v uint64, n int) {
	for n < len(b) {
		d := b[n] - '0'
		if d > 9 {
			break
		}
		v = v*10 + uint64(d)
		n++
	}
	return v, n
}

func number(b []byte, c *container) {
	v, _ := digits(b)
	c.add(v)
}

// keyValues takes the value of every line.
func keyValues(b []byte, c *container) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, ' ')
		if i < 0 {
			return
		}
		v, n := digits(b[i+1:])
		c.add(v)
		b = b[i+1+n:]
		if len(b) > 0 && b[0] == '\n' {
			b = b[1:]
		}
	}
}

var (
	statV1 = keys("hierarchical_memory_limit", "total_cache", "total_rss", "total_mapped_file", "total_swap", "total_pgfault", "total_pgmajfault",
		"total_inactive_file", "total_active_file")
	statV2 = keys("anon", "file", "kernel", "file_mapped", "inactive_file", "active_file", "pgfault", "pgmajfault")
)

func keys(names ...string) [][]byte {
	var k [][]byte
	for _, n := range names {
		k = append(k, []byte(n+" "))
	}
	return k
}

// wanted takes the lines with the given keys, which stand in this order, and
// stops after the last.
func wanted(keys [][]byte) func([]byte, *container) {
	return func(b []byte, c *container) {
		for k := 0; len(b) > 0 && k < len(keys); {
			key := keys[k]
			if len(b) > len(key) && b[0] == key[0] && string(b[:len(key)]) == string(key) {
				v, n := digits(b[len(key):])
				c.add(v)
				b = b[len(key)+n:]
				k++
			}
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				return
			}
			b = b[i+1:]
		}
	}
}

// readsAndWrites adds up the Read and the Write lines of all devices.
func readsAndWrites(b []byte, c *container) {
	var r, w uint64
	for len(b) > 0 {
		i := bytes.IndexByte(b, ' ')
		if i < 0 || i+7 >= len(b) {
			break
		}
		switch l := b[i+1:]; l[0] {
		case 'R':
			v, _ := digits(l[5:])
			r += v
		case 'W':
			v, _ := digits(l[6:])
			w += v
		}
		j := bytes.IndexByte(b, '\n')
		if j < 0 {
			break
		}
		b = b[j+1:]
	}
	c.add(r)
	c.add(w)
}

// totals takes the total= of each line of a pressure file.
func totals(b []byte, c *container) {
	key := []byte("total=")
	for {
		i := bytes.Index(b, key)
		if i < 0 {
			return
		}
		v, n := digits(b[i+len(key):])
		c.add(v)
		b = b[i+len(key)+n:]
	}
}
