// SPDX-License-Identifier: Apache-2.0

// Package doctor says what works on this machine and what does not: each
// feature with its reason and the one flag, mount or setting that unlocks it,
// what tallyman costs and what it causes in the engine, how full the stores are
// and what was dropped.
//
// It looks at nothing itself. What it says is what the other stations know:
// the inventory, the absences that the sources report, the latest readings of
// tallyman's own numbers, the stores.
package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/internal/nsx"
)

// Options are what the doctor asks. All fields but those that say so are needed.
type Options struct {
	Version, Host string
	// Container is set when tallyman runs in one.
	Container bool
	Inventory tallyman.Inventory
	Readings  tallyman.Readings
	// Absences say what cannot be known of a container, the host or the machine.
	Absences func(t tallyman.TargetKey) []tallyman.Absence
	// Replaced says why a container's numbers come from the engine's API.
	Replaced func(id string) (reason string, ok bool)
	// Try tries what may be done to the process pid of a container; nil leaves
	// the table of rights out.
	Try func(pid int) map[nsx.Right]error
	// Shares are how many streams of records there are, by kind of source; nil
	// leaves them out.
	Shares func() []Share
	// Forwards are those to whom is sent; nil for none.
	Forwards func() []Forward
	// Agents are the hosts that send here; nil for none.
	Agents func() []Agent
	// Pid is tallyman's own, on which nothing is tried.
	Pid    int
	Stores []StoreStatus
	Space  *fsx.Space
	Data   string // directory
	// MemoryLimit and FilesLimit are tallyman's own, 0 without one.
	MemoryLimit, FilesLimit uint64
	NoAuth                  bool
	// Logs is set when the logs of containers are kept.
	Logs bool
}

// StoreStatus is a store and its limits.
type StoreStatus struct {
	Name      string
	Retention time.Duration
	Limit     int64
	Size      func() int64
	Oldest    func() time.Time
	Newest    func() time.Time
	Series    func() uint64 // nil for a store without series
}

// Share is how many streams of records a kind of source has, of how many it may;
// a Limit of 0 is none. Lines of new streams fall together since Since, if it is not
// zero; Overflowed counts them.
type Share struct {
	Name                string
	Streams, Limit      int
	Memory, MemoryLimit int64 // bytes
	Overflowed          uint64
	Since               time.Time
	Setting             string // of Limit
}

// Forward is a destination to which something is sent on.
type Forward struct {
	ID, Name string
	To       string // host and port
	// Up is set while it takes what is sent. Since is when that changed, and Reason why
	// it does not, empty before the first try.
	Up     bool
	Since  time.Time
	Reason string
	// Waiting is how many messages it has not confirmed, and Oldest the time of the
	// oldest of them. Sent were confirmed since the start.
	Waiting int
	Oldest  time.Time
	Sent    uint64
	// Refused will never be taken, and Lost was gone before it could be sent, both since
	// the start. Refusal is what the destination said of late, and Mend what would help there.
	Refused, Lost uint64
	Refusal, Mend string
	// Notice is what else happened of late, empty for nothing.
	Notice string
}

// Doctor reports.
type Doctor struct {
	o Options
}

// New makes a doctor.
func New(o Options) *Doctor { return &Doctor{o} }

// Report is the state of now.
func (d *Doctor) Report() *Report {
	r := &Report{Time: time.Now().UnixMilli(), Version: d.o.Version, Host: d.o.Host, Where: "binary", Stores: []Store{}, Dropped: []Dropped{}}
	if d.o.Container {
		r.Where = "container"
	}
	readings, _ := d.o.Readings.Latest(nil)
	r.Features = slices.Concat(d.engines(), d.containers(), d.host(), d.rightsOf(), d.storage(r), d.self(), d.forwards(), d.agents())
	d.cost(r, readings)
	return r
}

// engines is a feature for each engine.
func (d *Doctor) engines() (out []Feature) {
	count := map[string]int{}
	for _, c := range d.o.Inventory.Containers() {
		if c.State != tallyman.Gone {
			count[c.Engine]++
		}
	}
	for _, e := range d.o.Inventory.Engines() {
		f := Feature{ID: "engine/" + e.Name, Group: Engines, Name: "Engine " + e.Name}
		switch {
		case e.Up:
			f.State = Works
			f.Detail = fmt.Sprintf("Docker %s, API %s, %d containers, %s", cmp.Or(e.Version, "of unknown version"), cmp.Or(e.APIVersion, "unknown"), count[e.Name], e.Address)
			if e.Version == "" {
				f.State, f.Reason = Partly, "The engine does not say its version and its machine: a proxy may forbid GET /info."
				f.Unlock = "allow GET /info in the proxy"
			}
		case e.Since.IsZero():
			f.State, f.Reason = Unknown, "It was not asked yet."
		default:
			f.State = Off
			f.Reason = fmt.Sprintf("It has not answered since %s: %s.", e.Since.UTC().Format("2006-01-02 15:04:05 MST"), strings.TrimSuffix(e.Error, "."))
			f.Unlock = unlockEngine(&e)
		}
		out = append(out, f)
		if e.Up {
			out = append(out, d.engineExtras(e.Name)...)
		}
	}
	return out
}

// engineRows are what an engine may well be without: its containers are
// watched all the same.
var engineRows = []struct {
	id, name string
	what     string
}{
	{"metrics", "What the engine %s measures of itself", "the engine's own metrics"},
	{"disk", "What the engine %s keeps on its disk", "what the engine keeps on its disk"},
}

// engineExtras are the features of an engine that answers. One that the engine
// has not by its nature is left out.
func (d *Doctor) engineExtras(engine string) (out []Feature) {
	absences := d.o.Absences(tallyman.TargetKey{Kind: tallyman.EngineTarget, ID: engine})
	for _, r := range engineRows {
		f := Feature{ID: "engine/" + engine + "/" + r.id, Group: Engines, Name: fmt.Sprintf(r.name, engine), State: Works}
		at := slices.IndexFunc(absences, func(a tallyman.Absence) bool { return a.What == r.what })
		if at >= 0 {
			a := absences[at]
			switch a.Code {
			case tallyman.None:
				continue
			case tallyman.Later:
				f.State, f.Reason = Unknown, a.Reason
			default:
				f.State, f.Reason, f.Unlock = Partly, a.Reason, a.Unlock
			}
		}
		out = append(out, f)
	}
	return out
}

// unlockEngine is what helps most against an engine's failure.
func unlockEngine(e *tallyman.EngineStatus) string {
	socket, local := strings.CutPrefix(e.Address, "unix://")
	switch {
	case !local:
		return ""
	case strings.Contains(e.Error, "no socket"):
		return "-v " + socket + ":" + socket + ":ro"
	case strings.Contains(e.Error, "refused"):
		return "systemctl start docker"
	}
	return ""
}

// rows are the features of containers: what of a container's rows is missing
// makes them partly work. The words are those of Absence.What.
var rows = []struct {
	id, name string
	what     []string
}{
	{"cpu", "CPU, memory and tasks of containers", []string{"cgroup", "enginestats", "all numbers"}},
	{"network", "Network of containers", []string{"network", "netns"}},
	{"blockio", "Block IO of containers", []string{"block IO"}},
	{"tcp", "TCP states of containers", []string{"TCP states", "socket"}},
	{"shm", "Shared memory of containers", []string{"shared memory", "shm"}},
	{"pressure", "Pressure of containers", []string{"pressure"}},
	{"logs", "Logs of containers", []string{"log"}},
}

// lack is what is absent of some containers.
type lack struct {
	count  int
	first  tallyman.Absence
	reason map[string]int
}

func (d *Doctor) containers() (out []Feature) {
	lacks := map[string]*lack{}
	alive, byAPI, disabled := 0, 0, 0
	shared := map[string]int{} // by what
	why := ""
	for _, c := range d.o.Inventory.Containers() {
		if c.Disabled && c.Alive() {
			disabled++
		}
		if !c.Alive() || c.Disabled {
			continue
		}
		alive++
		if reason, ok := d.o.Replaced(c.ID); ok {
			byAPI++
			why = cmp.Or(why, reason)
		}
		seen := map[string]bool{}
		for _, a := range d.o.Absences(c.Key()) {
			if a.Code == tallyman.Later || a.Code == tallyman.None {
				continue // it comes by itself, or is not, as it was made
			}
			what := a.What
			for _, r := range rows {
				if slices.Contains(r.what, what) {
					what = r.id
				}
			}
			if a.Code == tallyman.Shared {
				shared[what]++ // it has none of its own: nothing is missing
				continue
			}
			if seen[what] {
				continue
			}
			seen[what] = true
			if lacks[what] == nil {
				lacks[what] = &lack{first: a, reason: map[string]int{}}
			}
			lacks[what].count++
			lacks[what].reason[a.Reason]++
		}
	}
	if alive == 0 {
		return []Feature{{ID: "container/cpu", Group: Containers, Name: rows[0].name, State: Unknown, Reason: "No container runs."}}
	}
	for _, r := range rows {
		f := Feature{ID: "container/" + r.id, Group: Containers, Name: r.name, State: Works, Detail: fmt.Sprintf("%d of %d containers, from the kernel", alive, alive)}
		if r.id == "logs" {
			if !d.o.Logs {
				f.State, f.Detail, f.Reason, f.Unlock = Off, "", "The setting keep.logs is off.", "keep.logs: true"
				out = append(out, f)
				continue
			}
			f.Detail = fmt.Sprintf("%d of %d containers, from their files", alive, alive)
		}
		if l := lacks[r.id]; l != nil {
			l.put(&f, alive)
			delete(lacks, r.id)
		}
		if n := shared[r.id]; n > 0 && f.State != Off {
			f.Detail += fmt.Sprintf("; %d share that of the host or of another container", n)
		}
		if r.id == "cpu" && byAPI > 0 && f.State == Works {
			f.State = Partly
			f.Detail = fmt.Sprintf("%d of %d containers, %d of them from the engine's API, which costs the engine more and tells less", alive, alive, byAPI)
			f.Reason = why
			f.Unlock = d.unlockFiles()
		}
		out = append(out, f)
	}
	others := make([]string, 0, len(lacks))
	for what := range lacks {
		others = append(others, what)
	}
	slices.Sort(others)
	for _, what := range others {
		f := Feature{ID: "container/" + what, Group: Containers, Name: upper(what) + " of containers"}
		lacks[what].put(&f, alive)
		out = append(out, f)
	}
	if disabled > 0 {
		out = append(out, Feature{ID: "container/disabled", Group: Containers, Name: "Containers that are not to be watched", State: Works,
			Detail: fmt.Sprintf("%d are listed and nothing else: by their label tallyman.enable=false, or by the settings include and exclude", disabled)})
	}
	return out
}

// unlockFiles is what makes the kernel's files of containers reachable.
func (d *Doctor) unlockFiles() string {
	if d.o.Container {
		return "--pid=host --cgroupns=host -v /sys/fs/cgroup:/host/sys/fs/cgroup:ro"
	}
	return "" // the engine is on another machine
}

// put says that so many of all containers lack something.
func (l *lack) put(f *Feature, all int) {
	f.State, f.Detail = Partly, fmt.Sprintf("%d of %d containers", all-l.count, all)
	if l.count >= all {
		f.State, f.Detail = Off, ""
	}
	f.Reason, f.Unlock = l.first.Reason, l.first.Unlock
	most := 0
	for reason, n := range l.reason {
		if n > most || n == most && reason < f.Reason {
			most, f.Reason = n, reason
		}
	}
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// extras are what a host may well be without, or has by the configuration only.
var extras = []string{"journal", "log files"}

// hostRows are the features of the host.
var hostRows = []struct {
	id, name string
	what     []string
}{
	{"cpu", "CPU, memory and load of the host", []string{"host", "cgroup", "CPU", "memory", "load"}},
	{"filesystems", "File systems of the host", []string{"file systems"}},
	{"disks", "Disks of the host", []string{"disks"}},
	{"network", "Network of the host", []string{"network", "netns"}},
	{"pressure", "Pressure of the host", []string{"pressure"}},
}

func (d *Doctor) host() (out []Feature) {
	absent := map[string]tallyman.Absence{}
	var others []string
	said := map[string]bool{} // what several parts of the host lack for one reason is told once
	for _, a := range slices.Concat(d.o.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: d.o.Host}), d.o.Absences(tallyman.TargetKey{Kind: tallyman.MachineTarget, ID: "/"})) {
		id := a.What
		for _, r := range hostRows {
			if slices.Contains(r.what, a.What) {
				id = r.id
			}
		}
		if _, twice := absent[id]; twice || a.Code == tallyman.None || a.Code == tallyman.Later {
			continue // as it was made
		}
		again := said[a.Reason+a.Unlock]
		said[a.Reason+a.Unlock] = true
		if id == a.What && again {
			continue
		}
		absent[id] = a
		if id == a.What {
			others = append(others, id)
		}
	}
	off := func(id, name string) Feature {
		f := Feature{ID: "host/" + id, Group: Host, Name: name, State: Works}
		if a, ok := absent[id]; ok {
			f.State, f.Reason, f.Unlock = Off, a.Reason, a.Unlock
			if slices.Contains(extras, id) {
				f.State = Partly
			}
		}
		return f
	}
	for _, r := range hostRows {
		out = append(out, off(r.id, r.name))
	}
	for _, id := range others {
		if !slices.ContainsFunc(out, func(f Feature) bool { return f.ID == "host/"+id }) {
			out = append(out, off(id, upper(id)))
		}
	}
	return out
}

// storage is the data directory and the stores; it fills in the report's
// figures of them, too.
func (d *Doctor) storage(r *Report) (out []Feature) {
	f := Feature{ID: "storage/space", Group: Storage, Name: "Space for data", State: Works}
	var full error
	if u, err := d.o.Space.Usage(); err != nil {
		f.State, f.Reason = Unknown, upper(err.Error())+"."
	} else {
		r.Disk = &Disk{Path: d.o.Data, Size: u.Size, Free: u.Free, Reserve: u.Reserve}
		f.Detail = fmt.Sprintf("%s, %d MiB of %d MiB free", d.o.Data, u.Free>>20, u.Size>>20)
		if full = d.o.Space.Check(); full != nil {
			f.State, f.Reason = Off, upper(full.Error())+"."
		} else if u.Short() > 0 {
			f.State = Partly
			f.Reason = fmt.Sprintf("Less than %d MiB are free: the oldest data is deleted before its time.", u.Reserve>>20)
			f.Unlock = "free some space, or lower retention.metrics.size"
		}
	}
	out = append(out, f)
	for _, k := range d.o.Stores {
		s := Store{Name: k.Name, Bytes: k.Size(), Limit: k.Limit, Retention: k.Retention.Seconds(), State: Works}
		if t := k.Oldest(); !t.IsZero() {
			s.Oldest = t.UnixMilli()
		}
		if t := k.Newest(); !t.IsZero() {
			s.Newest = t.UnixMilli()
		}
		if k.Series != nil {
			n := k.Series()
			s.Series = &n
		}
		if full != nil {
			s.State, s.Reason = Off, "The file system is full."
		}
		r.Stores = append(r.Stores, s)
		out = append(out, Feature{ID: "storage/" + k.Name, Group: Storage, Name: "History of " + k.Name, State: s.State, Reason: s.Reason,
			Detail: fmt.Sprintf("%d MiB of at most %d MiB, at most %s", s.Bytes>>20, s.Limit>>20, age(k.Retention))})
	}
	if d.o.Shares != nil {
		out = append(out, streams(d.o.Shares()))
	}
	return out
}

// streams tells whether there is room for the streams of records.
func streams(shares []Share) Feature {
	f := Feature{ID: "storage/streams", Group: Storage, Name: "Streams of logs and events", State: Works}
	n, memory, overflowed := 0, int64(0), uint64(0)
	var reasons []string
	for _, s := range shares {
		n += s.Streams
		memory += s.Memory
		overflowed += s.Overflowed
		if s.Since.IsZero() {
			continue
		}
		f.State = Partly
		limit := fmt.Sprintf("the limit of %d streams", s.Limit)
		if s.Limit == 0 || s.Streams < s.Limit {
			limit = fmt.Sprintf("the limit of %d MiB for streams", s.MemoryLimit>>20)
			f.Unlock = cmp.Or(f.Unlock, "limits.streams.memory: 256MiB")
		} else {
			f.Unlock = cmp.Or(f.Unlock, fmt.Sprintf("%s: %d", s.Setting, 4*s.Limit))
		}
		reasons = append(reasons, fmt.Sprintf("Since %s %s of %s is reached: lines of new ones are kept together, in one stream for each level, and are found by the same labels.",
			s.Since.UTC().Format("2006-01-02 15:04:05 MST"), limit, s.Name))
	}
	f.Detail = fmt.Sprintf("%d streams in %d MiB of memory", n, memory>>20)
	if overflowed > 0 {
		f.Detail += fmt.Sprintf("; %d lines of more streams are kept together", overflowed)
	}
	f.Reason = strings.Join(reasons, " ")
	return f
}

func age(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return d.String()
}

func (d *Doctor) self() []Feature {
	login := Feature{ID: "self/login", Group: Self, Name: "Login", State: Works, Detail: "by link, or with the token of the data directory"}
	if d.o.NoAuth {
		login.State, login.Detail = Off, ""
		login.Reason, login.Unlock = "The setting no_auth is on: whoever reaches the port sees everything.", "no_auth: false"
	}
	memory := Feature{ID: "self/memory", Group: Self, Name: "Memory for tallyman", State: Works, Detail: "no limit"}
	if n := d.o.MemoryLimit; n > 0 {
		memory.Detail = fmt.Sprintf("limit %d MiB; the garbage collector stays below 85 %% of it", n>>20)
		if n < EnoughMemory {
			memory.State = Partly
			memory.Reason = fmt.Sprintf("The limit of %d MiB is low: with many containers tallyman will be slow, or be killed.", n>>20)
			memory.Unlock = fmt.Sprintf("-m %dm", EnoughMemory>>20)
		}
	}
	files := Feature{ID: "self/files", Group: Self, Name: "File descriptors for tallyman", State: Works}
	alive := 0
	for _, c := range d.o.Inventory.Containers() {
		if c.Alive() {
			alive++
		}
	}
	if limit, need := d.o.FilesLimit, uint64(64+FilesPerContainer*alive+128); limit > 0 {
		files.Detail = fmt.Sprintf("limit %d, at most %d needed for %d containers", limit, need, alive)
		if limit < need {
			files.State = Partly
			files.Reason = fmt.Sprintf("The limit of %d may not do for %d containers.", limit, alive)
			files.Unlock = "--ulimit nofile=65536"
			if !d.o.Container {
				files.Unlock = "LimitNOFILE=65536"
			}
		}
	}
	return []Feature{login, memory, files}
}

// FilesPerContainer is how many descriptors a container takes at most.
const FilesPerContainer = 24

// EnoughMemory is a memory limit, in bytes, with which a hundred containers are
// watched at ease.
const EnoughMemory = 96 << 20

// Agent is a host whose tallyman sends here.
type Agent struct {
	Host string
	// Heard is when something came last, zero when nothing ever did.
	Heard  time.Time
	Silent bool
}

// agents is a feature for each host that sends here.
func (d *Doctor) agents() (out []Feature) {
	if d.o.Agents == nil {
		return nil
	}
	for _, a := range d.o.Agents() {
		f := Feature{ID: "agent/" + a.Host, Group: Self, Name: "What the host " + a.Host + " sends", State: Works, Detail: "it comes"}
		switch {
		case a.Heard.IsZero():
			f.State, f.Detail, f.Reason = Unknown, "", "It has a token, and nothing has come with it."
			f.Unlock = "There, set TALLYMAN_HUB and TALLYMAN_HUB_TOKEN_FILE; or revoke its token: tallyman token revoke " + a.Host
		case a.Silent:
			f.State, f.Detail = Off, ""
			f.Reason = "Nothing comes from its tallyman since " + a.Heard.UTC().Format("2006-01-02 15:04:05 MST") + "; what runs there is not known."
			f.Unlock = "See whether the host and its tallyman run; there, tallyman doctor says what it has against this hub"
		}
		out = append(out, f)
	}
	return out
}

// forwards is a feature for each destination.
func (d *Doctor) forwards() (out []Feature) {
	if d.o.Forwards == nil {
		return nil
	}
	for _, w := range d.o.Forwards() {
		f := Feature{ID: "forward/" + w.ID, Group: Self, Name: w.Name, State: Works, Detail: fmt.Sprintf("%s, %d sent", w.To, w.Sent)}
		if w.Waiting > 0 {
			f.Detail += fmt.Sprintf(", %d wait since %s", w.Waiting, w.Oldest.UTC().Format("2006-01-02 15:04:05 MST"))
		}
		if w.Refused > 0 {
			f.Detail += fmt.Sprintf(", %d refused", w.Refused)
		}
		if w.Lost > 0 {
			f.Detail += fmt.Sprintf(", %d gone before they were sent", w.Lost)
		}
		switch {
		case w.Up && w.Notice != "":
			f.State, f.Reason = Partly, w.Notice
		case w.Up && w.Refusal != "":
			f.State, f.Reason = Partly, "Some is refused, and not sent again: "+strings.TrimSuffix(w.Refusal, ".")+"."
			f.Unlock = w.Mend
		case w.Up:
		case w.Reason == "":
			f.State, f.Reason = Unknown, "It was not tried yet."
		default:
			f.State = Partly
			f.Reason = fmt.Sprintf("It has taken nothing since %s; what is to be sent waits on the disk: %s.", w.Since.UTC().Format("2006-01-02 15:04:05 MST"), strings.TrimSuffix(w.Reason, "."))
		}
		out = append(out, f)
	}
	return out
}
