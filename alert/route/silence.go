// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Silence is a time in which nobody is told of what its matchers fit.
type Silence struct {
	ID       string    `json:"id"`
	Matchers []string  `json:"matchers"` // as host="a"
	Starts   time.Time `json:"starts"`
	Ends     time.Time `json:"ends"`
	Author   string    `json:"author"`
	Comment  string    `json:"comment"`
	// State is active, pending or expired.
	State string `json:"state"`
}

var matchTypes = map[labels.MatchType]silencepb.Matcher_Type{
	labels.MatchEqual: silencepb.Matcher_EQUAL, labels.MatchNotEqual: silencepb.Matcher_NOT_EQUAL,
	labels.MatchRegexp: silencepb.Matcher_REGEXP, labels.MatchNotRegexp: silencepb.Matcher_NOT_REGEXP,
}

// Silences are all that are known, those that have expired for 5 days too.
func (r *Router) Silences(ctx context.Context) ([]Silence, error) {
	found, _, err := r.silences.Query(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for silences: %w", err)
	}
	var out []Silence
	for _, s := range found {
		one := Silence{
			ID: s.Id, Starts: s.StartsAt.AsTime(), Ends: s.EndsAt.AsTime(), Author: s.CreatedBy, Comment: s.Comment,
			State: string(silence.StateFromProtoAt(s, time.Now())),
		}
		for _, set := range s.MatcherSets {
			for _, m := range set.Matchers {
				for how, code := range matchTypes {
					if code == m.Type {
						one.Matchers = append(one.Matchers, (&labels.Matcher{Type: how, Name: m.Name, Value: m.Pattern}).String())
					}
				}
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// Silence makes one from now on. Matchers are in Alertmanager's language, host="a" or
// workload=~"ci/.*", and must all fit.
func (r *Router) Silence(ctx context.Context, matchers []string, until time.Time, author, comment string) (id string, err error) {
	if len(matchers) == 0 {
		return "", errors.New("a silence needs a matcher; write one as host=\"a\"")
	}
	set := &silencepb.MatcherSet{}
	for _, text := range matchers {
		m, err := compat.Matcher(text, "silence")
		if err != nil {
			return "", fmt.Errorf("the matcher %q cannot be read; write it as host=\"a\" or workload=~\"ci/.*\": %w", text, err)
		}
		set.Matchers = append(set.Matchers, &silencepb.Matcher{Type: matchTypes[m.Type], Name: m.Name, Pattern: m.Value})
	}
	now := time.Now()
	if !until.After(now) {
		return "", errors.New("a silence must end in the future")
	}
	s := &silencepb.Silence{
		MatcherSets: []*silencepb.MatcherSet{set}, StartsAt: timestamppb.New(now), EndsAt: timestamppb.New(until), CreatedBy: author, Comment: comment,
	}
	if err := r.silences.Set(ctx, s); err != nil {
		return "", fmt.Errorf("make a silence: %w", err)
	}
	return s.Id, nil
}

// Expire ends a silence.
func (r *Router) Expire(ctx context.Context, id string) error {
	if err := r.silences.Expire(ctx, id); err != nil {
		return fmt.Errorf("end the silence: %w", err)
	}
	return nil
}

// SilencedBy are the silences in force that fit labels.
func (r *Router) SilencedBy(set map[string]string) (ids []string) { return r.silencedBy(labelSet(set)) }

func (r *Router) silencedBy(set model.LabelSet) (ids []string) {
	found, _, err := r.silences.Query(context.Background(), silence.QState(silence.SilenceStateActive), silence.QMatches(set))
	if err != nil {
		r.o.Log.Warn("silences cannot be looked up", "err", err)
		return nil
	}
	for _, s := range found {
		ids = append(ids, s.Id)
	}
	return ids
}
