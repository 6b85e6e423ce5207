package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ours is the folder that all groups of shibafu lie in. The other is where a process
// goes that gives up its own group to become the parent of others.
const (
	ours       = "shibafu"
	supervisor = "supervisor"
)

// controllers are those that Limits need.
var controllers = []string{"cpu", "memory", "pids"}

// Host knows the trees of control groups that this process sees.
type Host struct {
	// bases has, for each controller of version 1, the folder below which this user may
	// make groups.
	bases map[string]string
	// trees are those of version 1, by their controllers: "cpu,cpuacct".
	trees []string
	// unified is that folder of version 2, "" if there is no such tree.
	unified string
	pid     int
	root    bool
}

// Detect looks at the mounts and the group of this process.
func Detect() (*Host, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return parse(string(mounts), string(groups), os.Getpid(), os.Geteuid() == 0), nil
}

// parse reads what proc_pid_mountinfo(5) and cgroups(7) describe. Root makes its
// groups at the top of a tree, anybody else in his own group.
func parse(mounts, groups string, pid int, root bool) *Host {
	h := &Host{bases: map[string]string{}, pid: pid, root: root}
	own := map[string]string{}
	for line := range strings.Lines(groups) {
		if fields := strings.SplitN(strings.TrimSpace(line), ":", 3); len(fields) == 3 {
			for controller := range strings.SplitSeq(fields[1], ",") {
				own[controller] = fields[2]
			}
		}
	}
	for line := range strings.Lines(mounts) {
		before, after, found := strings.Cut(strings.TrimSpace(line), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 5 || len(right) < 3 {
			continue
		}
		top, at := unescape(left[3]), unescape(left[4])
		base := func(path string) string {
			if root {
				return filepath.Join(at, ours)
			}
			return below(at, top, path)
		}
		switch right[0] {
		case "cgroup2":
			if h.unified == "" {
				h.unified = base(own[""])
			}
		case "cgroup":
			if tree := treeOf(right[2]); tree != "" && !slices.Contains(h.trees, tree) {
				h.trees = append(h.trees, tree)
			}
			for _, c := range controllers {
				if h.bases[c] == "" && slices.Contains(strings.Split(right[2], ","), c) {
					h.bases[c] = base(own[c])
				}
			}
		}
	}
	return h
}

// below is where a group shows in a mount whose top is another one; "" if it does not,
// as for a process that a group namespace was made without.
func below(mount, top, group string) string {
	inside, found := strings.CutPrefix(group, strings.TrimSuffix(top, "/"))
	if !found || inside != "" && inside[0] != '/' || slices.Contains(strings.Split(inside, "/"), "..") {
		return ""
	}
	return filepath.Join(mount, inside)
}

// unescape reads a path of mountinfo, where what would end it is "\040" and the like.
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// known are the controllers of version 1; a tree has other options too.
var known = []string{
	"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio",
	"perf_event", "pids", "rdma",
}

func treeOf(options string) string {
	var found []string
	for option := range strings.SplitSeq(options, ",") {
		if slices.Contains(known, option) {
			found = append(found, option)
		}
	}
	return strings.Join(found, ",")
}

// Trees are those that a container can be shown: "cgroup2", or lists of controllers,
// each of a tree of version 1, which only root may mount.
func (h *Host) Trees() []string {
	switch {
	case len(h.trees) == 0 && h.unified != "":
		return []string{"cgroup2"}
	case h.root:
		return h.trees
	}
	return nil
}

// parent is the folder that a group with a controller is made in.
func (h *Host) parent(controller string) (version int, folder string, err error) {
	if base, mounted := h.bases[controller]; mounted {
		if base == "" {
			return 1, "", unavailable(controller, errOutside)
		}
		if h.root {
			if err := os.MkdirAll(base, 0o755); err != nil {
				return 1, "", unavailable(controller, err)
			}
		}
		return 1, base, nil
	}
	if h.unified == "" {
		return 0, "", unavailable(controller, errOutside)
	}
	if err := h.enable(controller); err != nil {
		return 2, "", unavailable(controller, err)
	}
	return 2, h.unified, nil
}

var errOutside = errors.New("no tree of control groups is mounted that this process is in")

// enable has the groups below h.unified control something. All above must do so too,
// and none of them may have processes, but for the first.
func (h *Host) enable(controller string) error {
	if h.root {
		if err := os.MkdirAll(h.unified, 0o755); err != nil {
			return err
		}
		if err := allow(filepath.Dir(h.unified), controller); err != nil {
			return err
		}
		return allow(h.unified, controller)
	}
	err := allow(h.unified, controller)
	if err == nil {
		return nil
	}
	aside := filepath.Join(h.unified, supervisor)
	if made := os.Mkdir(aside, 0o755); made != nil && !errors.Is(made, fs.ErrExist) {
		return fmt.Errorf("this user's processes are in a group that is not his (%w); with systemd, this one is: systemd-run --user --scope -p Delegate=yes shibafu run …", made)
	}
	if err := write(aside, "cgroup.procs", strconv.Itoa(h.pid)); err != nil {
		return err
	}
	return allow(h.unified, controller)
}

// allow has the groups of a folder control something.
func allow(folder, controller string) error {
	have, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(string(have)), controller) {
		return fmt.Errorf("%s does not control it", folder)
	}
	given, err := os.ReadFile(filepath.Join(folder, "cgroup.subtree_control"))
	if err != nil || slices.Contains(strings.Fields(string(given)), controller) {
		return err
	}
	return write(folder, "cgroup.subtree_control", "+"+controller)
}

// parents are the folders that groups may be in.
func (h *Host) parents() (all []string) {
	for _, base := range h.bases {
		if base != "" {
			all = append(all, base)
		}
	}
	if h.unified != "" {
		all = append(all, h.unified)
	}
	return all
}
