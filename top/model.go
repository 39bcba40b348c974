// SPDX-License-Identifier: Apache-2.0

package top

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"tallyman"
	"tallyman/api/view"
)

// order is what the rows are sorted by.
type order int

const (
	byCPU order = iota
	byMemory
	byNetwork
	byDisk
	byName
	byState
	orders
)

func (o order) String() string {
	return [...]string{"CPU", "memory", "network", "disk", "name", "state"}[o]
}

// screen is what is shown.
type screen int

const (
	table screen = iota
	logs
	help
)

// row is a container, or a heading with the sum of those below it.
type row struct {
	heading string
	sum     sum
	c       *view.Container
}

// sum adds up containers; what is known of none stays unknown.
type sum struct {
	n                           int
	cpu, memory, rx, tx, rd, wr *float64
}

// model is the state of the screen, as bubbletea has it.
type model struct {
	client *Client
	ctx    context.Context
	now    func() time.Time

	hosts      []*view.Host // without their containers
	containers map[string]*view.Container
	lost       error
	seen       bool // something came

	width, height int
	screen        screen
	order         order
	reverse       bool
	grouped       bool
	stopped       bool // stopped ones are shown
	paused        bool
	filter        string
	typing        bool

	rows     []row
	selected string // id of a container
	offset   int

	logOf  *view.Container
	lines  []Line
	noLog  error
	asked  int // of which question the answer is waited for
	scroll int // lines above the newest
}

func newModel(ctx context.Context, c *Client, o Options) *model {
	return &model{ctx: ctx, client: c, now: time.Now, containers: map[string]*view.Container{}, filter: o.Filter, stopped: o.All, grouped: o.Group, width: 80, height: 24}
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return nil }

// logLines is the answer about a log.
type logLines struct {
	question int
	lines    []Line
	err      error
}

const (
	maxLines = 500
	logEvery = time.Second
)

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 20), max(msg.Height, 6)
		m.keepInSight()
	case tea.KeyMsg:
		if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 {
			return m, m.key(msg)
		}
		var all []tea.Cmd
		for _, r := range msg.Runes { // typed so fast that they come together, or pasted
			all = append(all, m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}}))
		}
		return m, tea.Batch(all...)
	case logLines:
		if msg.question == m.asked && m.screen == logs {
			m.took(msg)
			return m, m.ask(logEvery)
		}
	default:
		m.take(msg)
	}
	return m, nil
}

// take takes over a message of the live stream.
func (m *model) take(msg any) {
	switch msg := msg.(type) {
	case Lost:
		m.lost = msg.Err
		return
	case view.Servers:
		m.seen = true
		m.hosts, m.containers = nil, map[string]*view.Container{}
		for i := range msg.Hosts {
			h := &msg.Hosts[i]
			for j := range h.Containers {
				c := h.Containers[j]
				m.containers[c.ID] = &c
			}
			h.Containers = nil
			m.hosts = append(m.hosts, h)
		}
	case Tick:
		for _, h := range m.hosts {
			if f, ok := msg.Hosts[h.Host]; ok {
				h.HostFigures = f
			}
		}
		for id, c := range m.containers {
			c.Now = msg.Now[id]
		}
	case view.Container:
		before := m.containers[msg.ID]
		if msg.State == tallyman.Gone {
			delete(m.containers, msg.ID)
		} else {
			if before != nil && msg.Now == nil {
				msg.Now = before.Now
			}
			m.containers[msg.ID] = &msg
		}
	case EngineChange:
		for _, h := range m.hosts {
			if h.Host == msg.Host {
				h.Engine = msg.Engine
			}
		}
	default:
		return
	}
	m.lost = nil
	if !m.paused {
		m.arrange()
	}
}

// alive reports whether a container runs, in some way.
func alive(c *view.Container) bool {
	return c.State == tallyman.Running || c.State == tallyman.Paused || c.State == tallyman.Restarting
}

// fits reports whether a container is wanted: each word of the filter is in one of its texts.
func (m *model) fits(c *view.Container) bool {
	if !m.stopped && !alive(c) {
		return false
	}
	for word := range strings.FieldsSeq(strings.ToLower(m.filter)) {
		found := false
		for _, text := range []string{c.Name, c.Image, c.Project, c.Service, c.Workload, c.Host, string(c.State), c.Health, c.ID} {
			found = found || strings.Contains(strings.ToLower(text), word)
		}
		if !found {
			return false
		}
	}
	return true
}

// arrange makes the rows anew.
func (m *model) arrange() {
	var all []*view.Container
	for _, c := range m.containers {
		if m.fits(c) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *view.Container) int {
		if m.grouped {
			if d := cmp.Compare(groupOf(a), groupOf(b)); d != 0 {
				return d
			}
		}
		d := m.compare(a, b)
		if m.reverse {
			d = -d
		}
		return cmp.Or(d, cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	m.rows = m.rows[:0]
	heading := -1
	for _, c := range all {
		if m.grouped && (heading < 0 || m.rows[heading].heading != groupOf(c)) {
			heading = len(m.rows)
			m.rows = append(m.rows, row{heading: groupOf(c)})
		}
		if heading >= 0 {
			m.rows[heading].sum.add(c)
		}
		m.rows = append(m.rows, row{c: c})
	}
	m.keepInSight()
}

// groupOf is the heading of a container.
func groupOf(c *view.Container) string {
	return c.Host + " / " + cmp.Or(c.Project, "no project")
}

func (s *sum) add(c *view.Container) {
	s.n++
	if c.Now == nil {
		return
	}
	for _, one := range []struct {
		to   **float64
		from *float64
	}{{&s.cpu, c.Now.CPU}, {&s.memory, c.Now.Memory}, {&s.rx, c.Now.Rx}, {&s.tx, c.Now.Tx}, {&s.rd, c.Now.BlkRead}, {&s.wr, c.Now.BlkWrite}} {
		if one.from == nil {
			continue
		}
		if *one.to == nil {
			*one.to = new(float64)
		}
		**one.to += *one.from
	}
}

// compare puts the greatest first, and what is not known last.
func (m *model) compare(a, b *view.Container) int {
	value := func(c *view.Container) float64 {
		n := c.Now
		if n == nil {
			return -1
		}
		known := func(all ...*float64) float64 {
			v, ok := 0.0, false
			for _, one := range all {
				if one != nil {
					v, ok = v+*one, true
				}
			}
			if !ok {
				return -1
			}
			return v
		}
		switch m.order {
		case byMemory:
			return known(n.Memory)
		case byNetwork:
			return known(n.Rx, n.Tx)
		case byDisk:
			return known(n.BlkRead, n.BlkWrite)
		}
		return known(n.CPU)
	}
	switch m.order {
	case byName:
		return 0 // by name, below
	case byState:
		return cmp.Compare(worse(a), worse(b))
	}
	return cmp.Compare(value(b), value(a))
}

// worse is how much a state wants to be seen, the smallest first.
func worse(c *view.Container) int {
	switch {
	case c.Health == "unhealthy", c.State == tallyman.Dead, c.State == tallyman.Restarting:
		return 0
	case c.State == tallyman.Exited && c.ExitCode != nil && *c.ExitCode != 0:
		return 1
	case c.State == tallyman.Paused:
		return 2
	case alive(c):
		return 3
	}
	return 4
}

// at is the row of the selected container, or the first one.
func (m *model) selection() int {
	first := -1
	for i, r := range m.rows {
		if r.c == nil {
			continue
		}
		if r.c.ID == m.selected {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// keepInSight scrolls to the selection.
func (m *model) keepInSight() {
	at, room := m.selection(), m.room()
	if at < 0 {
		m.selected, m.offset = "", 0
		return
	}
	m.selected = m.rows[at].c.ID
	if at == 1 && m.rows[0].c == nil {
		at = 0 // its heading too
	}
	m.offset = min(m.offset, at, max(len(m.rows)-room, 0))
	if at >= m.offset+room {
		m.offset = at - room + 1
	}
}

// move selects the container some rows further.
func (m *model) move(by int) {
	at := m.selection()
	if at < 0 {
		return
	}
	step := 1
	if by < 0 {
		step, by = -1, -by
	}
	for i := at + step; i >= 0 && i < len(m.rows) && by > 0; i += step {
		if m.rows[i].c != nil {
			m.selected = m.rows[i].c.ID
			by--
		}
	}
	m.keepInSight()
}

// key takes a key.
func (m *model) key(k tea.KeyMsg) tea.Cmd {
	name := k.String()
	if name == "ctrl+c" {
		return tea.Quit
	}
	if m.typing {
		m.edit(k)
		return nil
	}
	switch m.screen {
	case logs:
		return m.logKey(name)
	case help:
		m.screen = table
		if name == "q" {
			return tea.Quit
		}
		return nil
	}
	switch name {
	case "q":
		return tea.Quit
	case "?", "h", "f1":
		m.screen = help
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-m.room())
	case "pgdown", " ":
		m.move(m.room())
	case "home":
		m.move(-len(m.rows))
	case "end":
		m.move(len(m.rows))
	case "c", "m", "n", "d", "N", "s":
		m.sort(map[string]order{"c": byCPU, "m": byMemory, "n": byNetwork, "d": byDisk, "N": byName, "s": byState}[name])
	case "<", ">":
		m.sort((m.order + orders + map[string]order{"<": -1, ">": 1}[name]) % orders)
	case "r":
		m.reverse = !m.reverse
		m.arrange()
	case "g":
		m.grouped = !m.grouped
		m.arrange()
	case "a":
		m.stopped = !m.stopped
		m.arrange()
	case "p":
		m.paused = !m.paused
		if !m.paused {
			m.arrange()
		}
	case "/":
		m.typing = true
	case "esc":
		m.filter = ""
		m.arrange()
	case "l", "enter":
		if at := m.selection(); at >= 0 {
			m.screen, m.logOf, m.lines, m.noLog, m.scroll = logs, m.rows[at].c, nil, nil, 0
			return m.ask(0)
		}
	}
	return nil
}

func (m *model) sort(by order) {
	m.order, m.reverse = by, false
	m.arrange()
}

// edit changes the filter.
func (m *model) edit(k tea.KeyMsg) {
	switch k.Type {
	case tea.KeyEnter:
		m.typing = false
	case tea.KeyEsc:
		m.typing, m.filter = false, ""
	case tea.KeyBackspace:
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	case tea.KeyCtrlU:
		m.filter = ""
	case tea.KeyRunes, tea.KeySpace:
		if len(m.filter) < 200 {
			m.filter += string(k.Runes)
		}
	}
	m.arrange()
}

func (m *model) logKey(name string) tea.Cmd {
	switch name {
	case "q", "esc", "left", "l":
		m.screen, m.logOf = table, nil
		m.asked++
	case "up", "k":
		m.scroll++
	case "down", "j":
		m.scroll--
	case "pgup":
		m.scroll += m.logRoom()
	case "pgdown", " ":
		m.scroll -= m.logRoom()
	case "home":
		m.scroll = len(m.lines)
	case "end":
		m.scroll = 0
	}
	m.scroll = min(max(m.scroll, 0), max(len(m.lines)-m.logRoom(), 0))
	return nil
}

// ask asks for the log that is shown, after a while.
func (m *model) ask(after time.Duration) tea.Cmd {
	m.asked++
	question, ctx, client, host, name := m.asked, m.ctx, m.client, m.logOf.Host, m.logOf.Name
	return func() tea.Msg {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(after):
		}
		lines, err := client.Logs(ctx, host, name, maxLines)
		return logLines{question, lines, err}
	}
}

func (m *model) took(l logLines) {
	m.noLog = l.err
	if l.err != nil {
		return
	}
	// Who has scrolled up keeps what he reads.
	if m.scroll > 0 && len(m.lines) > 0 {
		last := m.lines[len(m.lines)-1]
		if at := slices.IndexFunc(l.lines, func(x Line) bool { return x == last }); at >= 0 {
			m.scroll = min(m.scroll+len(l.lines)-1-at, max(len(l.lines)-m.logRoom(), 0))
		}
	}
	m.lines = l.lines
}

// count says how many containers are shown, and are there.
func (m *model) count() string {
	shown := 0
	for _, r := range m.rows {
		if r.c != nil {
			shown++
		}
	}
	if shown == len(m.containers) {
		return fmt.Sprintf("%d containers", shown)
	}
	return fmt.Sprintf("%d of %d containers", shown, len(m.containers))
}
