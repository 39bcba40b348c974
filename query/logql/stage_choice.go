// SPDX-License-Identifier: Apache-2.0

package logql

import "slices"

// dropStage takes labels away.
type dropStage struct{ names []Choose }

func (s *dropStage) process(l *line) bool {
	for i := range s.names {
		n := &s.names[i]
		if n.Matcher != nil {
			if v, _ := l.get(n.Name); !n.Matcher.Matches(v) {
				continue
			}
		}
		l.remove(n.Name)
	}
	return true
}

// keepStage takes all other labels away, but not the errors.
type keepStage struct {
	names []Choose
	gone  []string
}

func (s *keepStage) process(l *line) bool {
	s.gone = s.gone[:0]
	l.each(func(name, value string, _ origin) {
		if !slices.ContainsFunc(s.names, func(n Choose) bool {
			return n.Name == name && (n.Matcher == nil || n.Matcher.Matches(value))
		}) {
			s.gone = append(s.gone, name)
		}
	})
	for _, n := range s.gone {
		l.remove(n)
	}
	return true
}

func (s *Choice) compile() (processor, error) {
	if s.Keep {
		return &keepStage{names: s.Names}, nil
	}
	return &dropStage{s.Names}, nil
}
