// SPDX-License-Identifier: Apache-2.0

package receive

import (
	"errors"
	"hash/maphash"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"tallyman"
)

// The messages, of which what is not named here is passed over:
//
//	1.0  WriteRequest { 1: repeated TimeSeries }
//	     TimeSeries   { 1: repeated Label { 1: name, 2: value }, 2: repeated Sample, 4: histograms }
//	2.0  Request      { 4: repeated string symbols, 5: repeated TimeSeries }
//	     TimeSeries   { 1: packed references of labels, 2: repeated Sample, 3: histograms, 5: Metadata { 1: type } }
//	both Sample       { 1: double value, 2: milliseconds }

var errMessage = errors.New("the body is no message of remote write")

// pair is a label as it stands in the message.
type pair struct{ name, value []byte }

// incoming is one series of a message. It is valid until the next one.
type incoming struct {
	labels     []pair
	hash       uint64 // of the labels
	samples    []sample
	histograms int
	counter    bool
}

type sample struct {
	time  int64 // milliseconds
	value float64
}

// decoder takes messages apart. It keeps its buffers.
type decoder struct {
	seed    maphash.Seed
	symbols [][]byte
	hashes  []uint64 // of the symbols
	series  [][]byte
	one     incoming
}

// decode calls use for each series of a message of a version.
func (d *decoder) decode(body []byte, version int, use func(*incoming)) error {
	d.symbols, d.hashes, d.series = d.symbols[:0], d.hashes[:0], d.series[:0]
	of := protowire.Number(1)
	if version == 2 {
		of = 5
	}
	// Symbols may stand behind the series that refer to them.
	err := fields(body, func(n protowire.Number, b []byte, _ uint64) error {
		switch {
		case n == of:
			d.series = append(d.series, b)
		case n == 4 && version == 2:
			d.symbols = append(d.symbols, b)
			d.hashes = append(d.hashes, maphash.Bytes(d.seed, b))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range d.series {
		if err := d.read(b, version); err != nil {
			return err
		}
		use(&d.one)
	}
	return nil
}

// read reads one series.
func (d *decoder) read(b []byte, version int) error {
	one := &d.one
	*one = incoming{labels: one.labels[:0], samples: one.samples[:0]}
	return fields(b, func(n protowire.Number, b []byte, _ uint64) error {
		switch {
		case n == 1 && version == 1:
			return d.label(b)
		case n == 1:
			return d.references(b)
		case n == 2:
			return d.sample(b)
		case n == 3 && version == 2, n == 4 && version == 1:
			one.histograms++
		case n == 5 && version == 2:
			return fields(b, func(n protowire.Number, _ []byte, v uint64) error {
				one.counter = one.counter || n == 1 && v == 1
				return nil
			})
		}
		return nil
	})
}

// mix puts the hash of a further text to the one of those before.
func mix(h, next uint64) uint64 { return (h<<7 | h>>57) ^ next*0x9e3779b97f4a7c15 }

// hashOf is the hash of labels that are sorted.
func (d *decoder) hashOf(labels []tallyman.Label) (h uint64) {
	for _, l := range labels {
		h = mix(mix(h, maphash.String(d.seed, l.Name)), maphash.String(d.seed, l.Value))
	}
	return h
}

func (d *decoder) label(b []byte) error {
	var p pair
	if err := fields(b, func(n protowire.Number, b []byte, _ uint64) error {
		switch n {
		case 1:
			p.name = b
		case 2:
			p.value = b
		}
		return nil
	}); err != nil {
		return err
	}
	d.add(p, maphash.Bytes(d.seed, p.name), maphash.Bytes(d.seed, p.value))
	return nil
}

func (d *decoder) references(b []byte) error {
	for len(b) > 0 {
		name, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return errMessage
		}
		b = b[n:]
		value, n := protowire.ConsumeVarint(b)
		if n < 0 || name >= uint64(len(d.symbols)) || value >= uint64(len(d.symbols)) {
			return errMessage
		}
		b = b[n:]
		d.add(pair{d.symbols[name], d.symbols[value]}, d.hashes[name], d.hashes[value])
	}
	return nil
}

func (d *decoder) add(p pair, name, value uint64) {
	d.one.labels = append(d.one.labels, p)
	d.one.hash = mix(mix(d.one.hash, name), value)
}

func (d *decoder) sample(b []byte) error {
	var s sample
	if err := fields(b, func(n protowire.Number, _ []byte, v uint64) error {
		switch n {
		case 1:
			s.value = math.Float64frombits(v)
		case 2:
			s.time = int64(v)
		}
		return nil
	}); err != nil {
		return err
	}
	d.one.samples = append(d.one.samples, s)
	return nil
}

// fields calls use for each field of a message: bytes for one with a length, else its number.
func fields(b []byte, use func(n protowire.Number, bytes []byte, number uint64) error) error {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errMessage
		}
		b = b[size:]
		var bytes []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			bytes, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			number, size = protowire.ConsumeFixed64(b)
		default:
			size = protowire.ConsumeFieldValue(n, kind, b)
		}
		if size < 0 {
			return errMessage
		}
		if err := use(n, bytes, number); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}
