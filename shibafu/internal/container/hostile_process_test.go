package container_test

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/shibafu/internal/container"
)

// What a process in a container tries to do to the machine: CVE-2022-0492,
// CVE-2023-25809, CVE-2022-29162, CVE-2016-9962 and others, and what seccomp is for.
func TestAttempts(t *testing.T) {
	w := newWorld(t)
	const perm, any = "operation not permitted", ""
	want := map[string]string{
		"mount tmpfs": perm, "mount proc": perm, "mount cgroup": perm, "mount cgroup2": perm,
		"remount /proc/sys": perm, "umount /proc/sys": perm, "pivot_root": perm, "unshare user": perm,
		"unshare user, mounts and cgroup": perm, "setns": perm, "open_tree": perm, "fsopen": perm,
		"open_by_handle_at": perm, "keyctl": perm, "add_key": perm, "request_key": perm, "bpf": perm,
		"perf_event_open": perm, "userfaultfd": perm, "io_uring_setup": perm, "init_module": perm, "kexec_load": perm,
		"reboot": perm, "syslog": perm, "swapon": perm, "settimeofday": perm, "sethostname": perm,
		"ptrace the first process": perm, "mknod of a disk": perm, "mknod of memory": perm, "raw packets": perm,
		"vsock": perm, "alg": perm, "trusted attribute": perm, "raise a limit": perm,
		"negative oom_score_adj": "permission denied", "first process's memory": "permission denied",
		"first process's program": "permission denied", "first process's files": "permission denied",
		"first process's root": "permission denied", "first process's environment": "permission denied",
		"kernel log as a device": "no such file or directory",
		// How these fail depends on the kernel, and on who runs the container.
		"raw IP": any, "type into the terminal": any, "kernel log as a file": any, "core pattern": any, "sysrq": any,
		"kernel settings": any, "network settings": any, "/sys": any, "hotplug helper": any,
		"group's agent": any, "group's limit": any, "group of its own": any,
	}
	r := w.run(image(t), container.Spec{}, "/probe", "attack")
	if r.code != 0 || r.err != nil {
		t.Fatalf("code %d, %v, %s", r.code, r.err, r.stderr)
	}
	for line := range strings.Lines(r.stdout) {
		name, got, _ := strings.Cut(strings.TrimSpace(line), ": ")
		expected, known := want[name]
		if !known || got == "ok" || expected != any && got != expected {
			t.Errorf("%s: %q, want %q", name, got, expected)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s was not tried", name)
	}
}

// The devices and the files of /proc are the machine's, wherever they are shown: the
// root of a container must not take them from everybody.
func TestModesOfTheMachine(t *testing.T) {
	w := newWorld(t)
	const ro = "read-only file system"
	var names []string
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		names = append(names, "/dev/"+name)
	}
	shared := []string{"/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/uptime", "/proc/interrupts", "/proc/keys", "/proc/sys", "/proc/tty"}
	var want strings.Builder
	for _, name := range names {
		fmt.Fprintf(&want, "%s %s and %s\n", name, ro, ro)
	}
	if os.Geteuid() == 0 { // a file of somebody who is not in the namespace cannot be changed anyway
		for _, name := range shared {
			fmt.Fprintf(&want, "%s %s and %s\n", name, ro, ro)
		}
		names = append(names, shared...)
	}
	w.says(want.String(), image(t), container.Spec{}, append([]string{"/probe", "change"}, names...)...)
	w.says("/dev/null ok\n/dev/zero ok\n/dev/full no space left on device\n", image(t), container.Spec{}, "/probe", "write", "/dev/null", "/dev/zero", "/dev/full")
}

// What can be opened for writing of /proc and /sys, besides processes: nothing but
// files that are /dev/null here, and those by which a program asks to be told of a
// lack of memory, which everybody may.
func TestWritable(t *testing.T) {
	w := newWorld(t)
	r := w.run(image(t), container.Spec{}, "/probe", "writable", "/proc", "/sys")
	if r.code != 0 || r.err != nil {
		t.Fatalf("code %d, %v, %s", r.code, r.err, r.stderr)
	}
	masked := []string{"/proc/interrupts", "/proc/keys", "/proc/kcore", "/proc/latency_stats", "/proc/sched_debug", "/proc/timer_list", "/proc/timer_stats"}
	for name := range strings.Lines(r.stdout) {
		name = strings.TrimSpace(name)
		if name != "/proc/mounts" && !strings.HasPrefix(name, "/proc/pressure/") && !strings.Contains(strings.Join(masked, " ")+" ", name+" ") {
			t.Errorf("%s can be written to", name)
		}
	}
}

// What a shell or a service hands down to what it starts is not for containers.
func TestInherited(t *testing.T) {
	w := newWorld(t)
	i := image(t)
	i.Config.Config.WorkingDir = "/made/here"
	was := syscall.Umask(0o077)
	defer syscall.Umask(was)
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTSTP, syscall.SIGUSR1)
	defer signal.Reset()
	t.Setenv("SECRET", "of the machine")
	w.says("Umask 0022\nSigIgn 0000000000000000\n", i, container.Spec{}, "/probe", "status", "self", "Umask", "SigIgn")
	w.says("/ drwxr-xr-x 0 0\n/etc/hosts -rw-r--r-- 0 0\n/made drwxr-xr-x 0 0\n/made/here drwxr-xr-x 0 0\n/dev drwxr-xr-x 0 0\n",
		i, container.Spec{}, "/probe", "stat", "/", "/etc/hosts", "/made", "/made/here", "/dev")
	w.says("HOME=/root\nHOSTNAME=me\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", i, container.Spec{Name: "me"}, "/probe", "env")
}

// A service that is spared when memory is used up does not make its containers so.
func TestIsNotSpared(t *testing.T) {
	if os.Geteuid() != 0 {
		return // who cannot be spared either
	}
	w := newWorld(t)
	const file = "/proc/self/oom_score_adj"
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(file, was, 0)
	for _, tt := range []struct{ ours, want string }{{"-900", "0\n"}, {"0", "0\n"}, {"300", "300\n"}} {
		if err := os.WriteFile(file, []byte(tt.ours), 0); errors.Is(err, os.ErrPermission) {
			continue // a root without CAP_SYS_RESOURCE, which cannot be spared
		} else if err != nil {
			t.Fatal(err)
		}
		w.says(tt.want+tt.want, image(t), container.Spec{}, "/probe", "cat", file, "/proc/1/oom_score_adj")
	}
}

// Files that a careless shell has left open are not the container's, nor are those
// that the runner has (CVE-2024-21626).
func TestLeakedFiles(t *testing.T) {
	w := newWorld(t)
	for range 3 { // without O_CLOEXEC
		fd, err := syscall.Open(w.canary, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
	}
	w.says("0 /dev/null\n1 pipe\n2 pipe\n", image(t), container.Spec{}, "/probe", "files")
}

// A working directory is one of the container's (CVE-2024-21626, CVE-2026-55686).
func TestHostileWorkingDirectory(t *testing.T) {
	w := newWorld(t)
	i := image(t, blob(t, symlink("descriptor", "/proc/self/fd/7"), symlink("root", "/proc/1/root"), symlink("up", "../../.."),
		symlink("out", w.canary), symlink("loop", "loop"), text("file", "")))
	for _, tt := range []struct{ dir, want string }{
		{"/proc/self/fd/3", "too many levels of symbolic links"},
		{"/proc/self/fd/7", "too many levels of symbolic links"},
		{"/proc/self/fd/7/../..", "no program begins in /proc, but many ways out of it did"},
		{"/proc/self/cwd", "too many levels of symbolic links"},
		{"/proc", "no program begins in /proc, but many ways out of it did"},
		{"/descriptor", "too many levels of symbolic links"},
		{"/descriptor/x", "too many levels of symbolic links"},
		{"/root/tmp", "too many levels of symbolic links"},
		{"/loop", "too many levels of symbolic links"},
		{"/file", "not a directory"},
		{"/out", "no such file or directory"},
		{"relative", `the working directory "relative" is no absolute path`},
		{"/x\x00", "is no absolute path"},
	} {
		i.Config.Config.WorkingDir = tt.dir
		if r := w.run(i, container.Spec{}, "/probe", "pwd"); r.code != container.CodeFailed || r.err == nil || !strings.Contains(r.err.Error(), tt.want) {
			t.Errorf("%s: code %d, %v, %q", tt.dir, r.code, r.err, r.stdout)
		}
	}
	i.Config.Config.WorkingDir = "/up/../up/made"
	w.says("/made\n", i, container.Spec{}, "/probe", "pwd")
}

// Arguments and variables arrive as they are, or not at all (CVE-2021-43784).
func TestExact(t *testing.T) {
	w := newWorld(t)
	odd := "\xff\xfe\x80 \x01\n\u2028<&>"
	w.says(fmt.Sprintf("%q\n%q\n", odd, ""), image(t), container.Spec{}, "/probe", "quote", odd, "")
	w.says(fmt.Sprintf("ODD=%s\n", odd), image(t), container.Spec{Env: []string{"ODD=" + odd}}, "/probe", "variable", "ODD")
	many := make([]string, 10_000)
	for n := range many {
		many[n] = fmt.Sprintf("V%d=%s", n, strings.Repeat("x", 100))
	}
	w.says("10000 variables\n", image(t), container.Spec{Env: many}, "/probe", "variables", "V")
	w.says("10000 arguments\n", image(t), container.Spec{}, append([]string{"/probe", "arguments"}, many...)...)
	for _, tt := range []struct {
		name string
		code int
		env  []string
		args []string
		err  error
	}{
		{"the longest argument", 0, nil, []string{strings.Repeat("x", 128<<10-1)}, nil},
		{"one that is too long", 126, nil, []string{strings.Repeat("x", 128<<10)}, syscall.E2BIG},
		{"all together too long", 125, nil, repeated(strings.Repeat("x", 100<<10), 21), container.ErrSpec},
		{"variables that are too long", 125, repeated("X="+strings.Repeat("x", 100<<10), 1), repeated(strings.Repeat("x", 100<<10), 20), container.ErrSpec},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := w.run(image(t), container.Spec{Env: tt.env}, append([]string{"/probe", "arguments"}, tt.args...)...)
			if r.code != tt.code || (r.err == nil) != (tt.err == nil) {
				t.Errorf("code %d, %v; want %d, %v", r.code, r.err, tt.code, tt.err)
			}
			if errors.Is(tt.err, container.ErrSpec) && !errors.Is(r.err, container.ErrSpec) {
				t.Errorf("%v", r.err)
			}
		})
	}
}

func repeated(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}
