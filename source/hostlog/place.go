// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
	"tallyman/internal/nsx"
)

// errRight says that a file may not be read.
var errRight = errors.New("its rights do not allow it")

// place is where files are looked for: below the host's root by one pattern, or
// inside of one container.
type place struct {
	t         *Tailer
	container *tallyman.Container // nil for the host
	patterns  []string
	rule      *logrule.Rule

	root    *fsx.Root
	files   map[string]*follower // by path
	watches map[string]int32     // of folders
	due     time.Time
	seen    bool // it was looked at before: files that come now are new
	looked  time.Time
	before  time.Time // the look before that one
	ended   bool      // what is open is read to its end
	absent  tallyman.Absence
	left    []left
}

// left is a file that was read to its end under another name: it goes on from
// there if its new name is wanted too.
type left struct {
	dev, ino uint64
	identity identity
}

// owner is a container's id, empty for the host.
func (p *place) owner() string {
	if p.container == nil {
		return ""
	}
	return p.container.ID
}

// reach opens the root.
func (p *place) reach() error {
	if p.root != nil {
		return nil
	}
	if p.container == nil {
		dir, _ := logrule.Fixed(p.patterns[0])
		at := p.t.o.Root(dir)
		if at == "" {
			return fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
		}
		root, err := fsx.OpenRoot(at)
		p.root = root
		return err
	}
	process, err := nsx.Open(p.t.o.Proc, p.container.Pid, p.container.ID)
	if err != nil {
		return err
	}
	defer process.Close()
	p.root, err = process.Root()
	return err
}

// packed are files that a rotation compressed.
var packed = regexp.MustCompile(`\.(gz|bz2|xz|zst|lz4|zip|Z)$`)

// behind is what a rotation puts behind a name: app.log.1, app.log-20261125.gz.
var behind = regexp.MustCompile(`^[.\-_][0-9][0-9TZ:_.\-]*(\.gz)?$|^\.gz$|^\.old$`)

// within is what a rotation puts into a name: app-20261125.log of app.log.
var within = regexp.MustCompile(`^[.\-_][0-9][0-9TZ:_.\-]*$`)

// rotated reports whether a name may be of a file that was base once.
func rotated(base, name string) bool {
	if rest, ok := strings.CutPrefix(name, base); ok && behind.MatchString(rest) {
		return true
	}
	ext := path.Ext(base)
	rest, ok := strings.CutPrefix(strings.TrimSuffix(name, ".gz"), strings.TrimSuffix(base, ext))
	middle, ok2 := strings.CutSuffix(rest, ext)
	return ok && ok2 && ext != "" && within.MatchString(middle)
}

// kin are the places that may find the same files: those of the host, in their
// order, or the one of a container.
func (p *place) kin() []*place {
	if p.container != nil {
		return []*place{p}
	}
	return p.t.places[:len(p.t.o.Files)]
}

// lookTogether looks in all places that may find the same files, in their order:
// a file that fits several patterns is the first one's. It is also called when a
// file was rotated away.
func (p *place) lookTogether() {
	for _, p := range p.kin() {
		p.look()
	}
}

// look finds files that are new.
func (p *place) look() {
	p.due = p.t.tail.Now.Add(logtail.LookEvery)
	if p.ended {
		return
	}
	p.looked, p.before = p.t.tail.Now, p.looked
	err := p.reach()
	if err == nil {
		err = p.find()
	}
	p.absent = tallyman.Absence{}
	switch {
	case errors.Is(err, tallyman.ErrGone): // discovery will tell
	case errors.Is(err, fs.ErrNotExist):
		p.absent = tallyman.Absence{What: "log files", Reason: "There is no file " + strings.Join(p.patterns, ", ") + " yet."}
		if p.container == nil && p.root == nil {
			dir, _ := logrule.Fixed(p.patterns[0])
			p.absent.Reason = "The folder " + dir + " cannot be reached from here."
			p.absent.Unlock = "-v " + dir + ":/host" + dir + ":ro"
		}
	case err != nil:
		p.absent = absence(err)
	}
	if p.container != nil {
		if p.absent.Reason == "" {
			p.t.lack(p.container.ID)
		} else {
			p.t.lack(p.container.ID, p.absent)
		}
	}
}

// find opens files that fit a pattern and are not followed yet.
func (p *place) find() (err error) {
	opened := 0
	for _, pattern := range p.patterns {
		dir, rest := logrule.Fixed(pattern)
		names, more, bad := p.root.Glob(dir, rest, mostEntries)
		if bad != nil && !errors.Is(bad, fs.ErrNotExist) {
			err = right(bad)
		}
		if more {
			err = fmt.Errorf("%s: there are more than %d entries of folders to look at", pattern, mostEntries)
		}
		// A file that only a position knows may have been rotated away.
		if !p.seen {
			before := p.key(strings.TrimSuffix(dir, "/")) + "/"
			for _, at := range p.t.o.Records.Positions(before) {
				name := strings.TrimPrefix(at.Key, before)
				if fit, _ := path.Match(rest, name); fit && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		// Those with a position come first: they may find the others to be what
		// was rotated away.
		slices.SortStableFunc(names, func(a, b string) int { return p.rank(path.Join(dir, a)) - p.rank(path.Join(dir, b)) })
		for _, name := range names {
			if packed.MatchString(name) || slices.ContainsFunc(names, func(base string) bool { return strings.HasPrefix(name, base) && behind.MatchString(name[len(base):]) }) {
				continue
			}
			full := path.Join(dir, name)
			p.watchFolder(path.Dir(full))
			if known := p.t.tail.Logs[p.key(full)]; known != nil {
				opened++
				if known.p.ended {
					p.due = p.t.tail.Now.Add(100 * time.Millisecond)
				}
				continue
			}
			if len(p.files) >= mostFiles {
				err = fmt.Errorf("%s: there are more than %d files", pattern, mostFiles)
				break
			}
			switch bad := p.follow(dir, name); {
			case bad == nil:
				opened++
			case errors.Is(bad, errSame), errors.Is(bad, fs.ErrNotExist):
			default:
				err = right(bad)
			}
		}
		p.watchFolder(dir)
	}
	p.seen = true
	if opened == 0 && err == nil {
		err = fs.ErrNotExist
	}
	return err
}

// right tells a lack of rights from other errors.
func right(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", err, errRight)
	}
	return err
}

// key is the key of a file's position.
func (p *place) key(name string) string { return keyPrefix + p.owner() + name }

// rank is 0 for a file that has a position.
func (p *place) rank(name string) int {
	if _, stored := p.t.o.Records.Position(p.key(name)); stored {
		return 0
	}
	return 1
}

// watchFolder has inotify tell of new files.
func (p *place) watchFolder(dir string) {
	if p.watches[dir] != 0 {
		return
	}
	fd, err := p.root.Directory(dir)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	n := p.t.tail.Watch.Add(fmt.Sprintf("/proc/self/fd/%d", fd), logtail.WatchNew)
	if n == 0 {
		return
	}
	p.watches[dir] = n
	if p.t.folders[n] == nil {
		p.t.folders[n] = map[*place]bool{}
	}
	p.t.folders[n][p] = true
}

// woken takes up that a folder has something new.
func (p *place) woken() {
	p.due = time.Time{}
	for _, f := range p.files {
		f.Due = time.Time{} // its name may lead elsewhere now
	}
}

// errSame says that a file is followed under another name.
var errSame = errors.New("it is followed under another name")

// follow begins to follow a file.
func (p *place) follow(dir, name string) error {
	full := path.Join(dir, name)
	f := &follower{p: p, key: p.key(full), name: full, dir: dir, rest: name}
	if err := f.begin(); err != nil {
		f.close()
		return err
	}
	p.files[full], p.t.tail.Logs[f.key] = f, f
	return nil
}

// held reports whether a file is open here or in another place of the host.
func (p *place) held(dev, ino uint64) bool {
	for _, p := range p.kin() {
		for _, f := range p.files {
			if f.has(dev, ino) {
				return true
			}
		}
	}
	return false
}

// end has everything read to its end; forget says that the container is gone.
func (p *place) end(forget bool) {
	p.ended = true
	for _, f := range p.files {
		f.Due, f.forget = time.Time{}, forget
	}
}

// leave takes the place away once that was done.
func (p *place) leave() {
	if p.ended && len(p.files) == 0 {
		p.close()
		p.t.places = slices.DeleteFunc(p.t.places, func(o *place) bool { return o == p })
	}
}

func (p *place) close() {
	for _, f := range p.files {
		f.close()
	}
	for _, n := range p.watches {
		if delete(p.t.folders[n], p); len(p.t.folders[n]) == 0 { // two may watch one folder
			p.t.tail.Watch.Remove(n)
			delete(p.t.folders, n)
		}
	}
	clear(p.watches)
	if p.root != nil {
		p.root.Close()
		p.root = nil
	}
}
