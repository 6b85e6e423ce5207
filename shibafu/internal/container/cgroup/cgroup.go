// Package cgroup bounds what the processes of a container use, by the control groups
// of the kernel: version 1, where each controller has a tree of its own, version 2,
// where there is one tree, and machines that have both.
//
// host.go finds the trees, cgroup.go makes a group in them.
//
// Source: the kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2.rst,
// cgroups(7).
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits are what a container may use; 0 is no limit.
type Limits struct {
	// Memory is in bytes, swap included.
	Memory int64
	// CPUs is how many processors' time it may have: 0.5 is half of one's.
	CPUs float64
	// Processes counts threads too.
	Processes int64
}

// ErrUnavailable says that this user cannot have a limit on this machine.
var ErrUnavailable = errors.New("cgroup: limit cannot be had here")

// period is the time in which a share of a processor is counted, in microseconds.
const period = 100_000

// setting is a file of a group, and what is written to it.
type setting struct {
	file, value string
	// optional is what not every kernel has.
	optional bool
}

// settings are those for limits, by controller.
func (l Limits) settings(version int) map[string][]setting {
	all := map[string][]setting{}
	if n := strconv.FormatInt(l.Memory, 10); l.Memory > 0 && version == 1 {
		all["memory"] = []setting{{"memory.limit_in_bytes", n, false}, {"memory.memsw.limit_in_bytes", n, true}}
	} else if l.Memory > 0 {
		all["memory"] = []setting{{"memory.max", n, false}, {"memory.swap.max", "0", true}}
	}
	if n := strconv.FormatInt(int64(l.CPUs*period), 10); l.CPUs > 0 && version == 1 {
		all["cpu"] = []setting{{"cpu.cfs_period_us", strconv.Itoa(period), false}, {"cpu.cfs_quota_us", n, false}}
	} else if l.CPUs > 0 {
		all["cpu"] = []setting{{"cpu.max", n + " " + strconv.Itoa(period), false}}
	}
	if l.Processes > 0 {
		all["pids"] = []setting{{"pids.max", strconv.FormatInt(l.Processes, 10), false}}
	}
	return all
}

// Group is the group of one container, in as many trees as its limits need.
type Group struct {
	folders []string
	memory  string // the folder that knows of the memory, "" if none does
}

// Create makes a group with limits. The name is that of no other group of shibafu's,
// and a part of a path. ErrUnavailable.
func (h *Host) Create(name string, l Limits) (*Group, error) {
	g := &Group{}
	if err := h.create(g, name, l); err != nil {
		g.Remove(context.Background())
		return nil, err
	}
	return g, nil
}

func (h *Host) create(g *Group, name string, l Limits) error {
	for controller := range l.settings(1) {
		version, parent, err := h.parent(controller)
		if err != nil {
			return err
		}
		folder := filepath.Join(parent, name)
		if !slices.Contains(g.folders, folder) { // as another controller of the tree has made it
			if err := makeNew(folder); err != nil {
				return unavailable(controller, err)
			}
			g.folders = append(g.folders, folder)
		}
		if controller == "memory" {
			g.memory = folder
		}
		for _, s := range l.settings(version)[controller] {
			err := write(folder, s.file, s.value)
			if err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
				return fmt.Errorf("limit of %s: %w", controller, err)
			}
		}
	}
	return nil
}

// makeNew makes a group in the place of one that has been left there, but not of one
// that has processes.
func makeNew(folder string) error {
	err := os.Mkdir(folder, 0o755)
	if errors.Is(err, fs.ErrExist) && syscall.Rmdir(folder) == nil {
		err = os.Mkdir(folder, 0o755)
	}
	return err
}

func unavailable(controller string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, controller, err)
}

// Add moves a process into the group.
func (g *Group) Add(pid int) error {
	for _, folder := range g.folders {
		if err := write(folder, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// KilledForMemory tells whether the kernel killed a process of the group because it
// had no memory left.
func (g *Group) KilledForMemory() bool {
	if g.memory == "" {
		return false
	}
	for _, file := range []string{"memory.events", "memory.oom_control"} {
		raw, err := os.ReadFile(filepath.Join(g.memory, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && n != "0" {
				return true
			}
		}
	}
	return false
}

// Remove removes the group, whose processes must have ended or be about to.
func (g *Group) Remove(ctx context.Context) error {
	var all error
	for _, folder := range g.folders {
		all = errors.Join(all, remove(ctx, folder))
	}
	return all
}

// remove waits for processes that are gone but still counted.
func remove(ctx context.Context, folder string) error {
	if _, err := os.Lstat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil // which a tree that is mounted for reading would not tell
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := syscall.Rmdir(folder)
		if err == nil || err == syscall.ENOENT {
			return nil
		}
		if err != syscall.EBUSY {
			return &os.PathError{Op: "rmdir", Path: folder, Err: err}
		}
		select {
		case <-ctx.Done():
			return &os.PathError{Op: "rmdir", Path: folder, Err: err}
		case <-time.After(wait):
		}
	}
}

// Sweep removes what Create made under that name in a process that has died since.
func (h *Host) Sweep(ctx context.Context, name string) error {
	g := &Group{}
	for _, parent := range h.parents() {
		g.folders = append(g.folders, filepath.Join(parent, name))
	}
	return g.Remove(ctx)
}

func write(folder, file, value string) error {
	f, err := os.OpenFile(filepath.Join(folder, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
