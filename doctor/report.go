// SPDX-License-Identifier: Apache-2.0

package doctor

// State is how well a feature works here.
type State string

// The states of a feature.
const (
	Works   State = "works"
	Partly  State = "partly"
	Off     State = "off"
	Unknown State = "unknown"
)

// Values are all states.
func (State) Values() []string {
	return []string{string(Works), string(Partly), string(Off), string(Unknown)}
}

// The groups of features, in the order in which they are shown.
const (
	Engines    = "Engines"
	Containers = "Containers"
	Host       = "Host"
	Rights     = "Rights"
	Storage    = "Storage"
	Self       = "tallyman"
)

// Report is everything that a doctor finds. Times are milliseconds since the
// epoch, sizes bytes, CPU cores; what is not known is left out.
type Report struct {
	Time     int64     `json:"time"`
	Version  string    `json:"version"`
	Host     string    `json:"host"`
	Where    string    `json:"where" doc:"How it runs: as a binary or in a container"`
	Features []Feature `json:"features"`
	Cost     Costs     `json:"cost"`
	Stores   []Store   `json:"stores"`
	Disk     *Disk     `json:"disk,omitempty"`
	Dropped  []Dropped `json:"dropped" doc:"What was lost since the start; only counts above 0"`
}

// Feature is one thing that tallyman does, and whether it can do it here.
type Feature struct {
	ID     string `json:"id"`
	Group  string `json:"group"`
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty" doc:"How it works"`
	Reason string `json:"reason,omitempty" doc:"Why it does not"`
	Unlock string `json:"unlock,omitempty" doc:"What to add to make it work: a flag, a mount, a setting"`
}

// Costs are what tallyman takes, and what it causes in the engine.
type Costs struct {
	CPU          *float64 `json:"cpu,omitempty"`
	Memory       *float64 `json:"memory,omitempty" doc:"That no file backs; what counts against memoryLimit"`
	Resident     *float64 `json:"resident,omitempty"`
	Files        *float64 `json:"files,omitempty"`
	FilesLimit   *float64 `json:"filesLimit,omitempty"`
	Goroutines   *float64 `json:"goroutines,omitempty"`
	MemoryLimit  *float64 `json:"memoryLimit,omitempty" doc:"That of tallyman's own cgroup"`
	RoundSeconds *float64 `json:"roundSeconds,omitempty"`
	Rounds       *float64 `json:"rounds,omitempty"`
	LateRounds   *float64 `json:"lateRounds,omitempty"`
	Daemons      []Daemon `json:"daemons"`
	Calls        []Call   `json:"calls"`
}

// Daemon is a process of the engine.
type Daemon struct {
	Name   string   `json:"name"`
	CPU    *float64 `json:"cpu,omitempty"`
	Memory *float64 `json:"memory,omitempty"`
}

// Call is how often an engine was asked something.
type Call struct {
	Engine string  `json:"engine"`
	Call   string  `json:"call"`
	Count  float64 `json:"count"`
}

// Store is what one store holds.
type Store struct {
	Name      string  `json:"name"`
	Bytes     int64   `json:"bytes"`
	Limit     int64   `json:"limit" doc:"Bytes; 0 for none"`
	Retention float64 `json:"retention" doc:"Seconds; 0 for ever"`
	Oldest    int64   `json:"oldest,omitempty"`
	Newest    int64   `json:"newest,omitempty"`
	Series    *uint64 `json:"series,omitempty"`
	State     State   `json:"state"`
	Reason    string  `json:"reason,omitempty"`
}

// Disk is the file system of the data directory.
type Disk struct {
	Path    string `json:"path"`
	Size    uint64 `json:"size"`
	Free    uint64 `json:"free"`
	Reserve uint64 `json:"reserve" doc:"What is to stay free"`
}

// Dropped is what was not stored, and why.
type Dropped struct {
	What   string  `json:"what"`
	Reason string  `json:"reason"`
	Count  float64 `json:"count"`
	Next   string  `json:"next,omitempty" doc:"What to do about it"`
}
