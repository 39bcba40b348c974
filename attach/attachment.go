// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"tallyman"
)

// attachment is a target that is watched, or should be.
type attachment struct {
	target *tallyman.Target
	// failed are the sources that could not attach it, with the reason.
	failed map[string]error
	// by are the sources that have taken the place of others.
	by      []source
	tries   int
	retryAt time.Time
	// stopped is set for a container that is listed and does not run.
	stopped bool
	// youngUntil is until when it is asked between rounds.
	youngUntil time.Time
}

// sourcesOf are the sources that a target is for.
func (s *Supervisor) sourcesOf(a *attachment) []source {
	if a.stopped {
		return s.listed
	}
	return s.watching[a.target.Kind]
}

// Replaced says that a source has taken the place of another for a container.
type Replaced struct {
	// By is the source that does, Reason why the other could not.
	By, Reason string
}

// errForced stands for a source that the configuration does not want.
var errForced = errors.New("the setting collect asks for the engine's API")

func newAttachment(t *tallyman.Target) *attachment {
	return &attachment{target: t, failed: map[string]error{}, retryAt: time.Now().Add(retryFirst)}
}

func (s *Supervisor) attach(c *tallyman.Container) {
	a := newAttachment(s.containerTarget(c))
	a.stopped = !c.Alive()
	s.attached[c.Key()] = a
	if a.stopped {
		s.stopped++
	} else {
		s.running++
		s.unread = true
	}
	s.attachTo(a)
	if !a.stopped {
		s.raise(a)
	}
}

// tell gives what is known now to the sources of what the inventory knows; what is
// read of the container is read on. It was paused, say.
func (s *Supervisor) tell(a *attachment, c *tallyman.Container) {
	for _, src := range s.listed {
		src.Detach(a.target)
	}
	a.target = s.containerTarget(c)
	for _, src := range s.listed {
		s.try(a, src)
	}
}

func (s *Supervisor) attachTo(a *attachment) {
	room := s.hasDescriptors(a)
	for _, src := range s.sourcesOf(a) {
		switch {
		case len(src.kind.Replaces) > 0:
		case s.engine(a).API && s.isReplaceable(src.kind.Name):
			a.failed[src.kind.Name] = errForced
		case room != nil:
			a.failed[src.kind.Name] = room
		default:
			s.try(a, src)
		}
	}
	s.replace(a)
	s.note(a)
}

// errNoDescriptors is wrapped by the reason why nothing more can be opened.
type errNoDescriptors struct{ error }

// hasDescriptors is why a container cannot be watched for want of descriptors, nil when
// it can.
func (s *Supervisor) hasDescriptors(a *attachment) error {
	if a.target.Container == nil || a.stopped || s.o.HasDescriptors == nil {
		return nil
	}
	if err := s.o.HasDescriptors(); err != nil {
		return errNoDescriptors{err}
	}
	return nil
}

// engine is what is known of the target's engine.
func (s *Supervisor) engine(a *attachment) Engine {
	if a.target.Container == nil {
		return Engine{}
	}
	return s.o.Engines[a.target.Container.Engine]
}

func (s *Supervisor) isReplaceable(name string) bool {
	return slices.ContainsFunc(s.sources, func(src source) bool { return slices.Contains(src.kind.Replaces, name) })
}

func (s *Supervisor) source(name string) (source, bool) {
	i := slices.IndexFunc(s.sources, func(src source) bool { return src.kind.Name == name })
	if i < 0 {
		return source{}, false
	}
	return s.sources[i], true
}

func (s *Supervisor) try(a *attachment, src source) {
	if *src.fault != "" {
		return
	}
	err := src.Attach(a.target)
	if err == nil {
		delete(a.failed, src.kind.Name)
		return
	}
	before := a.failed[src.kind.Name]
	a.failed[src.kind.Name] = err
	if !errors.Is(err, tallyman.ErrGone) && (before == nil || before.Error() != err.Error()) {
		s.o.Log.Warn("cannot watch; trying again each minute", "source", src.kind.Name, string(a.target.Kind), name(a.target), "err", err)
	}
}

// name is what people call a target.
func name(t *tallyman.Target) string {
	if t.Container != nil {
		return t.Container.Name
	}
	return t.ID
}

// replace attaches a target to the sources that take the place of one that
// cannot reach it, and gives it back to one that can again.
func (s *Supervisor) replace(a *attachment) {
	for _, src := range s.sourcesOf(a) {
		if len(src.kind.Replaces) == 0 {
			continue
		}
		main := src.kind.Replaces[0]
		_, made := s.source(main)
		_, noRoom := errors.AsType[errNoDescriptors](a.failed[main])
		wanted := !made || a.failed[main] != nil && !noRoom
		engine := s.engine(a)
		switch active := a.isBy(src); {
		case wanted && !active && (engine.Remote || engine.API || a.tries > 0):
			for _, name := range src.kind.Replaces[1:] {
				if other, ok := s.source(name); ok && a.failed[name] == nil {
					other.Detach(a.target)
				}
			}
			s.try(a, src)
			if a.failed[src.kind.Name] == nil {
				a.by = append(a.by, src)
				a.retryAt = time.Now().Add(noteAfter) // what it lacks is known with its first answer
				s.unread = true
			}
		case !wanted && active:
			src.Detach(a.target)
			a.by = slices.DeleteFunc(a.by, func(b source) bool { return b.kind.Name == src.kind.Name })
			for _, name := range src.kind.Replaces[1:] {
				if other, ok := s.source(name); ok {
					s.try(a, other)
				}
			}
		}
	}
}

// isBy reports whether src has taken the place of another.
func (a *attachment) isBy(src source) bool {
	return slices.ContainsFunc(a.by, func(b source) bool { return b.kind.Name == src.kind.Name })
}

// left reports whether the target is left to another source by the one called
// name, which is not the one whose success takes it back.
func (a *attachment) left(name string) bool {
	return slices.ContainsFunc(a.by, func(b source) bool { return slices.Contains(b.kind.Replaces[1:], name) })
}

func (s *Supervisor) detach(a *attachment) {
	for _, src := range s.sourcesOf(a) {
		src.Detach(a.target)
	}
	switch {
	case a.stopped:
		s.stopped--
	case a.target.Kind == tallyman.ContainerTarget:
		s.running--
	}
	delete(s.attached, a.target.Key())
	s.mu.Lock()
	delete(s.absent, a.target.Key())
	delete(s.instead, a.target.Key())
	s.mu.Unlock()
}

// all are the attachments, in no order.
func (s *Supervisor) all(yield func(*attachment) bool) {
	for _, a := range s.fixed {
		if !yield(a) {
			return
		}
	}
	for _, a := range s.attached {
		if !yield(a) {
			return
		}
	}
}

// untilRetry is how long nothing is to be tried again: whole seconds, so that
// those of a hundred containers come together.
func (s *Supervisor) untilRetry() time.Duration {
	first := time.Now().Add(retryEvery)
	for a := range s.all {
		if a.retryAt.Before(first) {
			first = a.retryAt
		}
	}
	return max(time.Until(first.Truncate(time.Second).Add(time.Second)), retryFirst/2)
}

// retry tries again what could not be attached, and asks what is absent now.
func (s *Supervisor) retry(now time.Time) {
	for a := range s.all {
		if now.Before(a.retryAt) {
			continue
		}
		a.retryAt = now.Add(retryEvery)
		if len(a.failed) > 0 {
			a.tries++
		}
		var again []source
		for _, src := range s.sourcesOf(a) {
			err := a.failed[src.kind.Name]
			if err != nil && !errors.Is(err, errForced) && len(src.kind.Replaces) == 0 && !a.left(src.kind.Name) {
				again = append(again, src)
			}
		}
		// Room is asked for only when there is something to open: it counts all
		// descriptors.
		if len(again) > 0 && s.hasDescriptors(a) == nil {
			for _, src := range again {
				s.try(a, src)
			}
		}
		s.replace(a)
		s.note(a)
	}
}

// note writes down what is absent of a target.
func (s *Supervisor) note(a *attachment) {
	covered := map[string]bool{}
	var instead *Replaced
	for _, b := range a.by {
		for _, name := range b.kind.Replaces {
			covered[name] = true
		}
		instead = &Replaced{By: b.kind.Name, Reason: s.whyNot(a, b.kind.Replaces[0])}
	}
	var absent []tallyman.Absence
	for _, m := range s.missing {
		if m.kind.Watches(a.target.Kind) && (!a.stopped || m.kind.Listed) && !covered[m.kind.Name] {
			absent = append(absent, tallyman.Absence{What: m.kind.Name, Reason: m.kind.Summary + ": " + m.err.Error()})
		}
	}
	for _, src := range s.sourcesOf(a) {
		active := len(src.kind.Replaces) == 0 || a.isBy(src)
		switch e, ok := src.Source.(tallyman.Absentee); {
		case covered[src.kind.Name]:
		case *src.fault != "":
			absent = append(absent, tallyman.Absence{What: src.kind.Name, Reason: "A fault of tallyman has ended it: " + *src.fault + ". Its log has the details."})
		case a.failed[src.kind.Name] != nil:
			absent = append(absent, tallyman.Absence{What: src.kind.Name, Reason: s.whyNot(a, src.kind.Name)})
		case ok && active:
			absent = append(absent, e.Absences(a.target)...)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.absent, a.target.Key())
	delete(s.instead, a.target.Key())
	if len(absent) > 0 {
		s.absent[a.target.Key()] = absent
	}
	if instead != nil {
		s.instead[a.target.Key()] = *instead
	}
}

// whyNot is why the source called name does not watch a target.
func (s *Supervisor) whyNot(a *attachment, name string) string {
	for _, m := range s.missing {
		if m.kind.Name == name {
			return m.err.Error()
		}
	}
	err := a.failed[name]
	switch {
	case err == nil:
		return ""
	case errors.Is(err, tallyman.ErrGone) && a.target.Container != nil:
		return fmt.Sprintf("Its process %d cannot be seen from here, or has no cgroup of its own: it has just ended, or the engine runs on another host, in another pid namespace or without cgroups.", a.target.Container.Pid)
	}
	return err.Error()
}

// Replaced says by which source a container is collected in place of the one
// that should, and why; ok is false for one that is collected as it should be.
func (s *Supervisor) Replaced(t tallyman.TargetKey) (r Replaced, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok = s.instead[t]
	return r, ok
}
