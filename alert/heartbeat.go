// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	beatEvery   = time.Minute
	beatTimeout = 10 * time.Second
	// beatFresh is how old what proves that all works may be.
	beatFresh = 2 * time.Minute
)

// heartbeat asks an address each minute while all works, so that somebody else notices
// when it does not: a rule over problems was evaluated lately, and o.Alive finds
// nothing wrong. It returns when ctx ends.
func (s *Service) heartbeat(ctx context.Context) {
	client := &http.Client{Timeout: beatTimeout, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.wrong()
		if err == nil {
			err = s.beat(ctx, client)
		}
		if (err != nil) != failing {
			if failing = err != nil; failing {
				s.o.Log.Warn("the heartbeat is left out", "err", err)
			} else {
				s.o.Log.Info("the heartbeat goes on")
			}
		}
	}
}

// wrong is what does not work.
func (s *Service) wrong() error {
	for _, g := range s.engine.RuleGroups() {
		if last := g.GetLastEvaluation(); g.Name() == "problems" && time.Since(last) > beatFresh {
			return errors.New("rules were not evaluated for two minutes")
		}
	}
	if s.o.Alive != nil {
		return s.o.Alive()
	}
	return nil
}

// beat asks once. The address may be a secret, so errors do not hold it.
func (s *Service) beat(ctx context.Context, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.o.Heartbeat, nil)
	if err != nil {
		return errors.New("the address of alarms.heartbeat cannot be asked")
	}
	resp, err := client.Do(req)
	if err != nil {
		s.beats.failed.Add(1)
		return fmt.Errorf("%s does not answer", req.URL.Hostname())
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	if resp.StatusCode >= 300 {
		s.beats.failed.Add(1)
		return fmt.Errorf("%s answers %s", req.URL.Hostname(), strings.TrimSpace(resp.Status))
	}
	s.beats.sent.Add(1)
	return nil
}
