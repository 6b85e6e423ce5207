package cgroup

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	mountsV1 = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
`
	unified  = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	mountsV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	groupsV1 = "9:name=systemd:/\n8:pids:/user/1000\n4:memory:/m\n1:cpu,cpuacct:/c\n0::/u\n"
)

// Which folders are used for which controllers.
func TestParse(t *testing.T) {
	const at = "/sys/fs/cgroup"
	for _, tt := range []struct {
		name           string
		mounts, groups string
		root           bool
		bases          map[string]string
		unified        string
		trees          []string
	}{
		{"version 1, root", mountsV1, groupsV1, true,
			map[string]string{"cpu": at + "/cpu,cpuacct/shibafu", "memory": at + "/memory/shibafu", "pids": at + "/pids/shibafu"}, "", []string{"cpu,cpuacct", "memory", "pids"}},
		{"version 1, a user", mountsV1, groupsV1, false,
			map[string]string{"cpu": at + "/cpu,cpuacct/c", "memory": at + "/memory/m", "pids": at + "/pids/user/1000"}, "", nil},
		{"both, root", mountsV1 + unified, groupsV1, true,
			map[string]string{"cpu": at + "/cpu,cpuacct/shibafu", "memory": at + "/memory/shibafu", "pids": at + "/pids/shibafu"}, at + "/unified/shibafu", []string{"cpu,cpuacct", "memory", "pids"}},
		{"version 2, root", mountsV2, "0::/user.slice\n", true, map[string]string{}, at + "/shibafu", []string{"cgroup2"}},
		{"version 2, a user", mountsV2, "0::/user.slice/a.scope\n", false, map[string]string{}, at + "/user.slice/a.scope", []string{"cgroup2"}},
		{"in a container that sees its part", strings.ReplaceAll(mountsV2, " / ", " /docker/abc "), "0::/docker/abc/x\n", false, map[string]string{}, at + "/x", []string{"cgroup2"}},
		{"its part's top", strings.ReplaceAll(mountsV2, " / ", " /docker/abc "), "0::/docker/abc\n", false, map[string]string{}, at, []string{"cgroup2"}},
		{"a part that it is not in", strings.ReplaceAll(mountsV2, " / ", " /docker/abc "), "0::/docker/abcd\n", false, map[string]string{}, "", nil},
		{"above the top of its namespace", mountsV2, "0::/../../other\n", false, map[string]string{}, "", nil},
		{"a folder with a space", strings.ReplaceAll(mountsV2, "/sys/fs/cgroup", `/a\040b\134c`), "0::/x\n", false, map[string]string{}, `/a b\c/x`, []string{"cgroup2"}},
		{"nothing", "", "", true, map[string]string{}, "", nil},
		{"garbage", "x - y\n1 2 3\n - cgroup2\n\\\n", ":::\nx\n1:2\n", false, map[string]string{}, "", nil},
	} {
		h := parse(tt.mounts, tt.groups, 1, tt.root)
		if !maps.Equal(h.bases, tt.bases) || h.unified != tt.unified || !slices.Equal(h.Trees(), tt.trees) {
			t.Errorf("%s: %v, %q, %v", tt.name, h.bases, h.unified, h.Trees())
		}
	}
}

// Whatever the kernel says, groups are below where a tree is mounted.
func FuzzParse(f *testing.F) {
	f.Add(mountsV1+unified, groupsV1, true)
	f.Add(mountsV2, "0::/../../x\n", false)
	f.Fuzz(func(t *testing.T, mounts, groups string, root bool) {
		h := parse(mounts, groups, 1, root)
		for _, folder := range h.parents() {
			if slices.Contains(strings.Split(folder, "/"), "..") && !strings.Contains(unescape(mounts), "..") {
				t.Errorf("%q", folder)
			}
		}
	})
}

// tree is a folder that looks like one of version 2, as far as files go.
func tree(t *testing.T, controllers string, folders ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range append(folders, "") {
		path := filepath.Join(dir, folder)
		err := os.MkdirAll(path, 0o755)
		for file, content := range map[string]string{"cgroup.controllers": controllers, "cgroup.subtree_control": "", "cgroup.procs": ""} {
			err = errors.Join(err, os.WriteFile(filepath.Join(path, file), []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// On version 2 all groups above let it have a controller, or it cannot be had.
func TestEnable(t *testing.T) {
	dir := tree(t, "cpu memory pids", ours)
	h := &Host{bases: map[string]string{}, unified: filepath.Join(dir, ours), root: true}
	if version, folder, err := h.parent("pids"); version != 2 || folder != h.unified || err != nil {
		t.Errorf("version %d, %s, %v", version, folder, err)
	}
	for _, folder := range []string{"", ours} {
		if raw, err := os.ReadFile(filepath.Join(dir, folder, "cgroup.subtree_control")); string(raw) != "+pids" || err != nil {
			t.Errorf("%s: %q, %v", folder, raw, err)
		}
	}
	h.unified = filepath.Join(tree(t, "cpu", ours), ours)
	if _, _, err := h.parent("pids"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a tree without the controller: %v", err)
	}
	h = &Host{bases: map[string]string{"pids": ""}}
	if _, _, err := h.parent("pids"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a tree that this process is not in: %v", err)
	}
}

// A group that is there is somebody's, if it has anything in it.
func TestMakeNew(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
	for range 2 {
		if err := makeNew(left); err != nil {
			t.Error(err)
		}
	}
	if err := os.Mkdir(filepath.Join(left, "child"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := makeNew(left); !errors.Is(err, os.ErrExist) {
		t.Errorf("%v", err)
	}
}

func TestSettings(t *testing.T) {
	all := Limits{Memory: 64 << 20, CPUs: 1.5, Processes: 7}
	for version, want := range map[int][]string{
		1: {"cpu.cfs_period_us=100000", "cpu.cfs_quota_us=150000", "memory.limit_in_bytes=67108864", "memory.memsw.limit_in_bytes=67108864", "pids.max=7"},
		2: {"cpu.max=150000 100000", "memory.max=67108864", "memory.swap.max=0", "pids.max=7"},
	} {
		var got []string
		for _, settings := range all.settings(version) {
			for _, s := range settings {
				got = append(got, s.file+"="+s.value)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("version %d: %q", version, got)
		}
	}
	if n := len(Limits{}.settings(2)); n != 0 {
		t.Errorf("%d settings without limits", n)
	}
}
