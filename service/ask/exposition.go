// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"errors"

	"tallyman"
	"tallyman/internal/exposition"
)

// Exposition says how metrics of a text are taken.
type Exposition struct{ exposition.Reader }

// Scrape asks for a URL and gives what its text holds to s. It returns how many
// samples the text has.
func (e Exposition) Scrape(ctx context.Context, c *Client, address string, s tallyman.ServiceSink) (samples int, err error) {
	a, err := c.Get(ctx, address, "Accept", exposition.Accept)
	if err != nil {
		return 0, err
	}
	return e.Parse(a.Body, a.Header.Get("Content-Type"), s)
}

// Parse gives the samples of a text to s. Its errors are faults of the text.
func (e Exposition) Parse(text []byte, contentType string, s tallyman.ServiceSink) (samples int, err error) {
	samples, err = e.Reader.Parse(text, contentType, s)
	switch {
	case errors.Is(err, exposition.ErrOther):
		err = tallyman.Faulty(tallyman.ParseFault, "Set STATS URL to the address of the metrics.", "%w", err)
	case err != nil:
		err = &tallyman.ServiceError{Fault: tallyman.ParseFault, Err: err}
	}
	return samples, err
}
