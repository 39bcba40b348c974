// SPDX-License-Identifier: Apache-2.0

package top

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"

	"tallyman"
	"tallyman/api/view"
	"tallyman/internal/clip"
)

// unknown stands for what is not known: it is not 0.
const unknown = "–"

var (
	dim     = lipgloss.NewStyle().Faint(true)
	strong  = lipgloss.NewStyle().Bold(true)
	good    = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	warning = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	bad     = lipgloss.NewStyle().Foreground(lipgloss.Color("1")).Bold(true)
	chosen  = lipgloss.NewStyle().Reverse(true)
	title   = lipgloss.NewStyle().Underline(true)
)

// column is one of the table. The first takes what the others leave.
type column struct {
	title string
	width int
	from  int // the width of the screen from which on it is shown
	order order
	text  func(r *row, now time.Time) (string, lipgloss.Style)
}

var plainStyle = lipgloss.NewStyle()

var columns = []column{
	{"NAME", 0, 0, byName, nil},
	{"HOST", 14, 150, orders, func(r *row, _ time.Time) (string, lipgloss.Style) {
		if r.c == nil {
			return "", plainStyle
		}
		return r.c.Host, plainStyle
	}},
	{"STATE", 11, 0, byState, func(r *row, _ time.Time) (string, lipgloss.Style) { return state(r) }},
	{"CPU %", 7, 0, byCPU, func(r *row, _ time.Time) (string, lipgloss.Style) {
		v, limit := r.sum.cpu, 0.0
		if r.c != nil {
			v, limit = nowOf(r.c).CPU, r.c.CPULimit
		}
		if v == nil {
			return unknown, dim
		}
		return fmt.Sprintf("%.1f", *v*100), near(*v, limit)
	}},
	{"MEM", 8, 0, byMemory, func(r *row, _ time.Time) (string, lipgloss.Style) {
		v, limit := r.sum.memory, 0.0
		if r.c != nil {
			v, limit = nowOf(r.c).Memory, float64(r.c.MemLimit)
		}
		if v == nil {
			return unknown, dim
		}
		return size(*v), near(*v, limit)
	}},
	{"OF", 5, 72, orders, func(r *row, _ time.Time) (string, lipgloss.Style) {
		if r.c == nil || r.c.MemLimit == 0 || nowOf(r.c).Memory == nil {
			return "", plainStyle
		}
		share := *nowOf(r.c).Memory / float64(r.c.MemLimit)
		return fmt.Sprintf("%.0f%%", share*100), near(share, 1)
	}},
	{"RX/s", 8, 60, byNetwork, rate(func(n *view.Now) *float64 { return n.Rx }, func(s *sum) *float64 { return s.rx })},
	{"TX/s", 8, 60, byNetwork, rate(func(n *view.Now) *float64 { return n.Tx }, func(s *sum) *float64 { return s.tx })},
	{"READ/s", 8, 110, byDisk, rate(func(n *view.Now) *float64 { return n.BlkRead }, func(s *sum) *float64 { return s.rd })},
	{"WRITE/s", 8, 110, byDisk, rate(func(n *view.Now) *float64 { return n.BlkWrite }, func(s *sum) *float64 { return s.wr })},
	{"PIDS", 6, 120, orders, func(r *row, _ time.Time) (string, lipgloss.Style) {
		if r.c == nil {
			return "", plainStyle
		}
		if p := nowOf(r.c).Pids; p != nil {
			return fmt.Sprintf("%.0f", *p), plainStyle
		}
		return unknown, dim
	}},
	{"RESTARTS", 9, 130, orders, func(r *row, _ time.Time) (string, lipgloss.Style) {
		switch {
		case r.c == nil || r.c.Restarts == 0:
			return "", plainStyle
		}
		return fmt.Sprint(r.c.Restarts), warning
	}},
	{"SINCE", 7, 78, orders, func(r *row, now time.Time) (string, lipgloss.Style) {
		if r.c == nil {
			return "", plainStyle
		}
		at := r.c.Started
		if !alive(r.c) {
			at = cmp.Or(r.c.Finished, r.c.Created)
		}
		if at == 0 {
			return unknown, dim
		}
		return since(now.Sub(time.UnixMilli(at))), plainStyle
	}},
}

var nothing view.Now

func nowOf(c *view.Container) *view.Now {
	if c.Now == nil {
		return &nothing
	}
	return c.Now
}

func rate(of func(*view.Now) *float64, ofSum func(*sum) *float64) func(*row, time.Time) (string, lipgloss.Style) {
	return func(r *row, _ time.Time) (string, lipgloss.Style) {
		v := ofSum(&r.sum)
		if r.c != nil {
			v = of(nowOf(r.c))
		}
		if v == nil {
			return unknown, dim
		}
		return size(*v), plainStyle
	}
}

// near is the colour of a value by its limit, 0 for none.
func near(v, limit float64) lipgloss.Style {
	switch {
	case limit > 0 && v >= 0.95*limit:
		return bad
	case limit > 0 && v >= 0.8*limit:
		return warning
	}
	return plainStyle
}

// state is that of a container in a word or two.
func state(r *row) (string, lipgloss.Style) {
	c := r.c
	if c == nil {
		return fmt.Sprintf("%d", r.sum.n), plainStyle
	}
	switch {
	case c.State == tallyman.Exited && c.OOMKilled:
		return "no memory", bad
	case c.State == tallyman.Exited && c.ExitCode != nil && *c.ExitCode != 0:
		return fmt.Sprintf("exit %d", *c.ExitCode), warning
	case c.State == tallyman.Running && c.Health == "unhealthy":
		return "unhealthy", bad
	case c.State == tallyman.Running && c.Health != "":
		return c.Health, good
	case c.State == tallyman.Running:
		return "running", good
	case c.State == tallyman.Restarting, c.State == tallyman.Dead:
		return string(c.State), bad
	}
	return string(c.State), dim
}

// size is a number of bytes in five letters at most: 999, 12.3K, 123M.
func size(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	for _, unit := range "KMGTPE" {
		v /= 1024
		switch {
		case v < 99.95:
			return fmt.Sprintf("%.1f%c", v, unit)
		case v < 999.5:
			return fmt.Sprintf("%.0f%c", v, unit)
		}
	}
	return "∞"
}

// since is a time in four letters at most.
func since(d time.Duration) string {
	switch s := d.Seconds(); {
	case s < 0:
		return "0s"
	case s < 100:
		return fmt.Sprintf("%.0fs", math.Floor(s))
	case s < 100*60:
		return fmt.Sprintf("%.0fm", math.Floor(s/60))
	case s < 48*3600:
		return fmt.Sprintf("%.0fh", math.Floor(s/3600))
	default:
		return fmt.Sprintf("%.0fd", math.Floor(s/86400))
	}
}

// fit makes a text just so wide: cut with …, or filled up.
func fit(s string, width int, right bool) string {
	if width <= 0 {
		return ""
	}
	s = ansi.Truncate(s, width, "…")
	fill := strings.Repeat(" ", max(width-ansi.StringWidth(s), 0))
	if right {
		return fill + s
	}
	return s + fill
}

// head is how many lines stand above the table: the hosts, and the titles.
func (m *model) head() int { return m.hostLines() + 2 }

func (m *model) hostLines() int { return min(max(len(m.hosts), 1), max(m.height/4, 1)) }

// room is how many rows there is room for.
func (m *model) room() int { return max(m.height-m.head()-1, 1) }

func (m *model) logRoom() int { return max(m.height-2, 1) }

// View implements tea.Model.
func (m *model) View() string {
	switch m.screen {
	case logs:
		return m.logView()
	case help:
		return m.helpView()
	}
	var b strings.Builder
	m.hostView(&b)
	b.WriteString(m.line(m.status()) + "\n")
	shown, name := m.columns()
	m.titles(&b, shown, name)
	now := m.now()
	for i := m.offset; i < m.offset+m.room(); i++ {
		if i < len(m.rows) {
			m.rowView(&b, &m.rows[i], shown, name, now)
		}
		b.WriteByte('\n')
	}
	b.WriteString(m.foot())
	return b.String()
}

// line makes a text a line of the screen.
func (m *model) line(s string) string { return ansi.Truncate(s, m.width, "…") }

// columns are those for which there is room, and the width of the first one.
func (m *model) columns() (shown []column, name int) {
	name = m.width
	for _, c := range columns {
		if m.width >= c.from && (c.title != "HOST" || len(m.hosts) > 1) {
			shown = append(shown, c)
			if c.text != nil {
				name -= c.width + 1
			}
		}
	}
	return shown, max(name, 8)
}

func (m *model) titles(b *strings.Builder, shown []column, name int) {
	var line strings.Builder
	for i, c := range shown {
		text, width := c.title, c.width
		if i == 0 {
			width = name
		} else {
			line.WriteByte(' ')
		}
		if c.order == m.order && c.title != "TX/s" && c.title != "WRITE/s" {
			text = map[bool]string{false: "▾", true: "▴"}[m.reverse] + text
		}
		line.WriteString(title.Render(fit(text, width, i > 0 && c.title != "STATE" && c.title != "HOST")))
	}
	b.WriteString(m.line(line.String()) + "\n")
}

func (m *model) rowView(b *strings.Builder, r *row, shown []column, name int, now time.Time) {
	selected := r.c != nil && r.c.ID == m.selected
	var line strings.Builder
	for i, c := range shown {
		width, text, style := c.width, "", plainStyle
		if i == 0 {
			width = name
			switch {
			case r.c == nil:
				text, style = clip.Plain(r.heading), strong
			case m.grouped:
				text = "  " + clip.Plain(r.c.Name)
			default:
				text = clip.Plain(r.c.Name)
			}
		} else {
			line.WriteByte(' ')
			text, style = c.text(r, now)
			text = clip.Plain(text)
		}
		text = fit(text, width, i > 0 && c.title != "STATE" && c.title != "HOST")
		switch {
		case selected:
		case r.c != nil && !alive(r.c) && i != 2:
			text = dim.Render(text)
		default:
			text = style.Render(text)
		}
		line.WriteString(text)
	}
	text := m.line(line.String())
	if selected {
		text = chosen.Render(fit(text, m.width, false))
	}
	b.WriteString(text)
}

// hostView is a line for each host.
func (m *model) hostView(b *strings.Builder) {
	lines := m.hostLines()
	if len(m.hosts) == 0 {
		text := "waits for the first answer"
		if m.seen {
			text = "there is no engine"
		}
		b.WriteString(m.line(dim.Render(text)) + "\n")
		return
	}
	for i, h := range m.hosts[:lines] {
		if i == lines-1 && len(m.hosts) > lines {
			b.WriteString(m.line(dim.Render(fmt.Sprintf("and %d more hosts", len(m.hosts)-lines+1))) + "\n")
			break
		}
		parts := []string{strong.Render(clip.Plain(h.Host))}
		if h.Cores != nil && h.CPU != nil {
			parts = append(parts, fmt.Sprintf("CPU %s %s/%.0f", bar(*h.CPU / *h.Cores), near(*h.CPU, *h.Cores).Render(fmt.Sprintf("%.1f", *h.CPU)), *h.Cores))
		}
		if h.Memory != nil && h.MemoryUsed != nil {
			parts = append(parts, fmt.Sprintf("mem %s %s/%s", bar(*h.MemoryUsed / *h.Memory), near(*h.MemoryUsed, *h.Memory).Render(size(*h.MemoryUsed)), size(*h.Memory)))
		}
		if h.Load1 != nil {
			parts = append(parts, fmt.Sprintf("load %.2f", *h.Load1))
		}
		if h.DiskUsed != nil && h.DiskSize != nil && *h.DiskSize > 0 {
			room := *h.DiskSize
			if h.DiskAvail != nil && *h.DiskUsed+*h.DiskAvail > 0 {
				room = *h.DiskUsed + *h.DiskAvail // as df counts
			}
			parts = append(parts, fmt.Sprintf("disk %s %s", near(*h.DiskUsed, room).Render(fmt.Sprintf("%.0f%%", 100**h.DiskUsed/room)), clip.Plain(h.DiskMount)))
		}
		switch e := h.Engine; {
		case e.Up:
			parts = append(parts, dim.Render("Docker "+clip.Plain(cmp.Or(e.Version, "?"))))
		case e.Failure == string(tallyman.EngineSlow):
			parts = append(parts[:1], bad.Render("Docker is stalled since "+clock(e.Since)), clip.Plain(e.Error))
		case e.Since != 0:
			parts = append(parts[:1], bad.Render("Docker does not answer since "+clock(e.Since)), clip.Plain(e.Error))
		}
		b.WriteString(m.line(strings.Join(parts, "  ")) + "\n")
	}
}

func clock(millis int64) string { return time.UnixMilli(millis).Format("15:04:05") }

// bar is a share from 0 to 1, drawn.
func bar(share float64) string {
	const width = 8
	full := int(math.Round(min(max(share, 0), 1) * width))
	return near(share, 1).Render(strings.Repeat("█", full)) + dim.Render(strings.Repeat("░", width-full))
}

// status is the line above the table.
func (m *model) status() string {
	parts := []string{m.count()}
	if !m.stopped {
		parts = append(parts, "running ones (a: all)")
	}
	if m.filter != "" || m.typing {
		cursor := ""
		if m.typing {
			cursor = "▏"
		}
		parts = append(parts, "filter "+strong.Render(clip.Plain(m.filter))+cursor)
	}
	parts = append(parts, "by "+m.order.String())
	if m.paused {
		parts = append(parts, warning.Render("paused"))
	}
	text := strings.Join(parts, " · ")
	if m.lost != nil {
		return bad.Render("no answer: "+clip.Plain(m.lost.Error())) + dim.Render(" · "+text)
	}
	return text
}

func (m *model) foot() string {
	if m.typing {
		return m.line(dim.Render("words of name, image, project, host, state · Enter keeps, Esc clears"))
	}
	return m.line(dim.Render("? help · q quit · / filter · c m n d s N sort · r reverse · g group · a all · l log · p pause"))
}

func (m *model) logView() string {
	var b strings.Builder
	name := clip.Plain(m.logOf.Name)
	b.WriteString(m.line(strong.Render(name)+dim.Render(fmt.Sprintf(" · %d lines of its log", len(m.lines)))) + "\n")
	room := m.logRoom()
	end := len(m.lines) - m.scroll
	begin := max(end-room, 0)
	for i := range room {
		switch {
		case begin+i < end:
			l := m.lines[begin+i]
			b.WriteString(m.line(dim.Render(l.Time.Format("15:04:05.000")) + " " + clip.Plain(strings.ReplaceAll(l.Text, "\t", "    "))))
		case i == 0 && m.noLog != nil:
			b.WriteString(m.line(bad.Render(clip.Plain(m.noLog.Error()))))
		case i == 0 && len(m.lines) == 0:
			b.WriteString(dim.Render("no line in the last day"))
		}
		b.WriteByte('\n')
	}
	foot := "Esc back · ↑ ↓ PgUp PgDn scroll · End newest"
	if m.scroll > 0 {
		foot = fmt.Sprintf("%d lines below · ", m.scroll) + foot
	}
	b.WriteString(m.line(dim.Render(foot)))
	return b.String()
}

func (m *model) helpView() string {
	text := []string{
		strong.Render("tallyman top"), "",
		"↑ ↓ PgUp PgDn Home End   select", "Enter, l                 log of the container", "/                        filter: words of name, image, project, host, state",
		"Esc                      no filter", "c m n d s N              sort by CPU, memory, network, disk, state, name", "< >                      sort by the column before, after", "r                        the other way round",
		"g                        group by project", "a                        stopped ones too", "p                        pause", "q                        quit", "",
		"CPU % is of one core. OF is memory of its limit. " + unknown + " is not known.", "", dim.Render("any key goes back"),
	}
	for i := range text {
		text[i] = m.line(text[i])
	}
	return strings.Join(text[:min(len(text), m.height)], "\n")
}
