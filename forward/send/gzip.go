// SPDX-License-Identifier: Apache-2.0

package send

import (
	"bytes"

	"github.com/klauspost/compress/gzip"
)

// Gzip packs requests, and keeps its buffers. The zero value is ready.
type Gzip struct {
	to  bytes.Buffer
	zip *gzip.Writer
}

// Pack packs a body. What it gives is good until the next call.
func (g *Gzip) Pack(body []byte) []byte {
	g.to.Reset()
	if g.zip == nil {
		g.zip, _ = gzip.NewWriterLevel(&g.to, gzip.BestSpeed) // the level is a good one
	} else {
		g.zip.Reset(&g.to)
	}
	_, _ = g.zip.Write(body) // a buffer takes all
	_ = g.zip.Close()
	return g.to.Bytes()
}
