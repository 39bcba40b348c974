// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tallyman/config"
	"tallyman/doctor"
	"tallyman/internal/clip"
	"tallyman/internal/datadir"
	"tallyman/internal/machine"
)

type doctorCmd struct {
	settings
	JSON bool `help:"Print the report as JSON." name:"json"`
}

// errLacks ends the doctor when something does not work.
var errLacks = errors.New("something does not work here, see above")

// Run asks the running tallyman for its report, or looks for itself: with a
// data directory of its own, for a few seconds.
func (c *doctorCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return fmt.Errorf("the configuration is wrong: %w", err)
	}
	r, err := askRunning(ctx, cfg)
	said := "the running tallyman at " + reachable(cfg.Listen) + " says"
	if err != nil {
		said = "no tallyman runs on " + cfg.Listen + " with " + cfg.Data + "; looked for itself"
		if r, err = look(ctx, cfg); err != nil {
			return err
		}
	}
	if c.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = printReport(out, r, said)
	}
	for _, f := range r.Features {
		if f.State == doctor.Off {
			return errors.Join(err, errLacks)
		}
	}
	return err
}

// askRunning asks the tallyman that runs with the same configuration.
func askRunning(ctx context.Context, cfg config.Config) (*doctor.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	base, client, err := running(cfg)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/tallyman/v1/doctor", nil)
	if err != nil {
		return nil, err
	}
	req.Header = tokenHeader(cfg)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", cfg.Listen, resp.Status)
	}
	var r doctor.Report
	return &r, json.NewDecoder(io.LimitReader(resp.Body, 8<<20)).Decode(&r)
}

// lookFor is how long engines may take to answer.
const lookFor = 10 * time.Second

// look runs everything but the server for as long as it takes to know.
func look(ctx context.Context, cfg config.Config) (*doctor.Report, error) {
	data, listen := cfg.Data, cfg.Listen
	temporary, err := os.MkdirTemp("", "tallyman-doctor-")
	if err != nil {
		return nil, fmt.Errorf("make a directory to look with: %w", err)
	}
	defer os.RemoveAll(temporary)
	here := machine.Here(os.Getenv)
	cfg.Host = hostName(ctx, here, cfg)
	cfg.Data = temporary
	cfg.Keep.Metrics, cfg.Logs.Push, cfg.Receive.Agents = false, false, false // what is seen is not kept
	a, err := newApp(ctx, cfg, here, slog.New(slog.DiscardHandler), true)
	if err != nil {
		return nil, err
	}
	defer a.close()
	stop := a.start(ctx)
	for deadline := time.Now().Add(lookFor); a.ready() != nil && time.Now().Before(deadline) && ctx.Err() == nil; {
		time.Sleep(50 * time.Millisecond)
	}
	// Two rounds for the rates, and a second try for what could not be reached.
	for range 30 {
		if ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
	r := a.doctor.Report()
	r.Stores, r.Disk = nil, nil
	kept := r.Features[:0]
	for _, f := range r.Features {
		if f.Group != doctor.Storage {
			kept = append(kept, f)
		}
	}
	r.Features = append(kept, dataFeature(data), portFeature(listen))
	return r, stop()
}

// dataFeature is whether the data directory can be used. It leaves everything as it
// was.
func dataFeature(path string) doctor.Feature {
	f := doctor.Feature{ID: "storage/data", Group: doctor.Storage, Name: "Data directory", State: doctor.Works, Detail: path}
	made := missing(path)
	before, _ := os.ReadDir(path) // without it, it is not there or Open says why
	d, err := datadir.Open(path)
	if err != nil {
		f.State, f.Detail, f.Reason, f.Unlock = doctor.Off, "", err.Error(), "--data DIR"
	} else {
		// While it is locked, so that nobody else begins to use it.
		if after, err := os.ReadDir(path); err == nil {
			for _, entry := range after {
				if !slices.ContainsFunc(before, func(b os.DirEntry) bool { return b.Name() == entry.Name() }) {
					_ = os.Remove(filepath.Join(path, entry.Name()))
				}
			}
		}
		d.Close()
	}
	for _, folder := range made {
		_ = os.Remove(folder) // only an empty one goes
	}
	return f
}

// missing are the folders that have to be made for a path, the innermost first.
func missing(path string) (folders []string) {
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return folders
		}
		folders = append(folders, at)
	}
}

// portFeature is whether the address can be had.
func portFeature(listen string) doctor.Feature {
	f := doctor.Feature{ID: "self/listen", Group: doctor.Self, Name: "Address of the page", State: doctor.Works, Detail: listen}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		f.State, f.Detail, f.Reason, f.Unlock = doctor.Off, "", listenError(listen, err).Error(), "--listen 127.0.0.1:8421"
		return f
	}
	l.Close()
	return f
}

// printReport prints a report for people.
func printReport(out io.Writer, r *doctor.Report, said string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "tallyman %s on %s (%s); %s:\n", r.Version, clip.Plain(r.Host), r.Where, said)
	words := map[doctor.State]string{doctor.Works: "works", doctor.Partly: "PARTLY", doctor.Off: "OFF", doctor.Unknown: "unknown"}
	group := ""
	for _, g := range []string{doctor.Engines, doctor.Containers, doctor.Host, doctor.Rights, doctor.Storage, doctor.Self} {
		for _, f := range r.Features {
			if f.Group != g {
				continue
			}
			if group != g {
				group = g
				fmt.Fprintf(&b, "\n%s\n", g)
			}
			fmt.Fprintf(&b, "  %-8s %s", words[f.State], clip.Plain(f.Name))
			if f.Detail != "" {
				fmt.Fprintf(&b, ": %s", clip.Plain(f.Detail))
			}
			b.WriteByte('\n')
			if f.Reason != "" {
				fmt.Fprintf(&b, "           %s\n", clip.Plain(f.Reason))
			}
			if f.Unlock != "" {
				fmt.Fprintf(&b, "           add: %s\n", clip.Plain(f.Unlock))
			}
		}
	}
	if c := r.Cost; c.Memory != nil {
		fmt.Fprintf(&b, "\nCost\n  tallyman   %s, %.0f MiB\n", cores(c.CPU), *c.Memory/(1<<20))
		for _, d := range c.Daemons {
			memory := 0.0
			if d.Memory != nil {
				memory = *d.Memory
			}
			fmt.Fprintf(&b, "  %-10s %s, %.0f MiB\n", clip.Plain(d.Name), cores(d.CPU), memory/(1<<20))
		}
	}
	if len(r.Stores) > 0 {
		b.WriteString("\nStores\n")
		for _, s := range r.Stores {
			fmt.Fprintf(&b, "  %-8s %d MiB of at most %d MiB\n", s.Name, s.Bytes>>20, s.Limit>>20)
		}
	}
	if len(r.Dropped) > 0 {
		b.WriteString("\nDropped\n")
		for _, d := range r.Dropped {
			fmt.Fprintf(&b, "  %.0f %s: %s. %s\n", d.Count, d.What, strings.ReplaceAll(d.Reason, "_", " "), d.Next)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func cores(v *float64) string {
	if v == nil {
		return "CPU not known yet"
	}
	return fmt.Sprintf("%.3f cores", *v)
}
