// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// run runs the jobs, and again what failed.
func run(ctx context.Context, jobs []job, rep *report) {
	// Everything that the run starts has the mark, whoever its parent is by then.
	mark := fmt.Sprintf("TESTRUN_MARK=%d-%d", os.Getpid(), time.Now().UnixNano())
	defer endAll(mark)
	lanes := map[string][]job{}
	for _, j := range jobs {
		lanes[j.lane] = append(lanes[j.lane], j)
	}
	var wg sync.WaitGroup
	for name, list := range lanes {
		if name != "" {
			wg.Go(func() { oneByOne(ctx, list, mark, rep) })
		}
	}
	wg.Wait()
	oneByOne(ctx, lanes[""], mark, rep)
	for _, a := range rep.again() {
		if ctx.Err() != nil {
			return
		}
		rep.say("again %s\n", a.name())
		a.job.gentle = false
		rep.second(a, runJob(ctx, a.job, mark, rep))
	}
}

func oneByOne(ctx context.Context, jobs []job, mark string, rep *report) {
	for _, j := range jobs {
		if ctx.Err() != nil {
			return
		}
		rep.first(runJob(ctx, j, mark, rep))
	}
}

// runJob runs a job to its end and returns what came of it.
func runJob(ctx context.Context, j job, mark string, rep *report) outcome {
	argv := j.argv
	if j.packages != nil {
		argv = append(append([]string{"go", "test", "-json"}, j.flags...), j.packages...)
	}
	if j.gentle {
		argv = append([]string{"nice", "-n", "5"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = j.dir
	cmd.Env = append(append(os.Environ(), mark), j.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for the run, which ends the job
	cmd.Cancel = func() error {
		endAll(mark)
		return nil
	}
	cmd.WaitDelay = 5 * time.Second // something may hold the pipe
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	start := time.Now()
	o := outcome{job: j}
	read := make(chan struct{})
	go func() {
		defer close(read)
		o.read(r, rep)
	}()
	err := cmd.Run()
	_ = w.Close()
	<-read
	o.took, o.err = time.Since(start), err
	return o
}

// read takes what a job prints.
func (o *outcome) read(in io.Reader, rep *report) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		var e event
		switch {
		case line == "":
		case o.job.packages != nil && json.Unmarshal([]byte(line), &e) == nil && e.Action != "":
			o.event(e, rep)
		default: // of a command, or the go command's own words
			o.said = append(o.said, line)
			if o.job.packages != nil {
				rep.say("%s", line)
			}
		}
		if err != nil {
			return
		}
	}
}
