package seccomp

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// again runs a test of this program in a process of its own, by whose environment
// it knows.
func again(t *testing.T, attr *syscall.SysProcAttr, test, what string) ([]byte, error) {
	t.Helper()
	// The folder of the program is closed to other users, the link is not.
	cmd := exec.Command("/proc/self/exe", "-test.count=1", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), "SECCOMP_TEST="+what, "TMPDIR=/tmp", "GOCOVERDIR=")
	cmd.SysProcAttr = attr
	return cmd.CombinedOutput()
}

// numberOf is the number of a call on this architecture.
func numberOf(t *testing.T, name string) uintptr {
	t.Helper()
	all := slices.Concat(allowed, refused, unknown)
	for _, c := range checked {
		all = append(all, c.call)
	}
	for _, c := range all {
		if c.name == name {
			return uintptr(native().number(c))
		}
	}
	t.Fatalf("no call %s", name)
	return 0
}

func setNoNewPrivs(t *testing.T) {
	t.Helper()
	const prSetNoNewPrivs = 38
	if _, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
}

// The kernel does on all threads what the rules say, for root and for others.
func TestInstall(t *testing.T) {
	if os.Getenv("SECCOMP_TEST") == "" {
		users := map[string]*syscall.SysProcAttr{"this user": nil}
		if os.Geteuid() == 0 {
			users["nobody"] = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		for name, attr := range users {
			if out, err := again(t, attr, "TestInstall", "yes"); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
		return
	}
	const threads = 8
	var ready, done sync.WaitGroup
	installed, end := make(chan struct{}), make(chan struct{})
	for range threads {
		ready.Add(1)
		done.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			<-installed
			checkCalls(t)
			done.Done()
			<-end // or the thread would be gone
		}()
	}
	ready.Wait()
	runtime.LockOSThread()
	setNoNewPrivs(t)
	if err := Install(); err != nil {
		t.Fatal(err)
	}
	close(installed)
	checkCalls(t)
	done.Wait()
	checkThreads(t, threads)
	close(end)
	if out, err := exec.Command("/bin/sh", "-c", "echo fine").CombinedOutput(); err != nil || string(out) != "fine\n" {
		t.Errorf("a program: %v, %s", err, out)
	}
}

// checkCalls makes calls whose answer tells whether the filter let them through:
// what is allowed gets arguments to which the kernel has an answer of its own.
func checkCalls(t *testing.T) {
	const vsock = 40
	for _, tt := range []struct {
		call string
		args [3]uintptr
		want syscall.Errno
	}{
		{"getpid", [3]uintptr{}, 0},
		{"close", [3]uintptr{1 << 20}, syscall.EBADF},
		{"seccomp", [3]uintptr{1 << 20}, syscall.EINVAL},
		{"removexattrat", [3]uintptr{1 << 20, 0, 1 << 20}, syscall.EINVAL},
		{"mount", [3]uintptr{}, syscall.EPERM},
		{"unshare", [3]uintptr{}, syscall.EPERM},
		{"setns", [3]uintptr{1 << 20}, syscall.EPERM},
		{"keyctl", [3]uintptr{1 << 20}, syscall.EPERM},
		{"bpf", [3]uintptr{1 << 20}, syscall.EPERM},
		{"io_uring_setup", [3]uintptr{}, syscall.EPERM},
		{"open_by_handle_at", [3]uintptr{1 << 20}, syscall.EPERM},
		{"clone3", [3]uintptr{}, syscall.ENOSYS},
		{"file_getattr", [3]uintptr{1 << 20}, syscall.ENOSYS},
		{"clone", [3]uintptr{syscall.CLONE_THREAD}, syscall.EINVAL}, // without CLONE_SIGHAND
		{"clone", [3]uintptr{syscall.CLONE_NEWUSER | syscall.CLONE_THREAD}, syscall.EPERM},
		{"clone", [3]uintptr{syscall.CLONE_NEWNS | syscall.CLONE_FS}, syscall.EPERM},
		{"socket", [3]uintptr{syscall.AF_UNIX, 1 << 20}, syscall.EINVAL},
		{"socket", [3]uintptr{syscall.AF_ALG, syscall.SOCK_SEQPACKET}, syscall.EPERM},
		{"socket", [3]uintptr{1<<32 | syscall.AF_ALG, syscall.SOCK_SEQPACKET}, syscall.EPERM},
		{"socket", [3]uintptr{vsock, syscall.SOCK_STREAM}, syscall.EPERM},
		{"personality", [3]uintptr{0xffffffff}, 0},
		{"personality", [3]uintptr{0x40000}, syscall.EPERM},
	} {
		_, _, errno := syscall.RawSyscall(numberOf(t, tt.call), tt.args[0], tt.args[1], tt.args[2])
		if errno != tt.want {
			t.Errorf("%s(%#x): %v, want %v", tt.call, tt.args[0], errno, tt.want)
		}
	}
}

func checkThreads(t *testing.T, least int) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	if len(tasks) <= least {
		t.Errorf("only %d threads", len(tasks))
	}
	for _, task := range tasks {
		status, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"Seccomp:\t2\n", "Seccomp_filters:\t1\n", "NoNewPrivs:\t1\n"} {
			if !strings.Contains(string(status), line) {
				t.Errorf("thread %s has not %q", task.Name(), line)
			}
		}
	}
}

// Without no_new_privs nobody but root gets a filter, and hears why.
func TestInstallWithoutNoNewPrivs(t *testing.T) {
	if os.Getenv("SECCOMP_TEST") == "" {
		attr := &syscall.SysProcAttr{}
		if os.Geteuid() == 0 {
			attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		}
		if out, err := again(t, attr, "TestInstallWithoutNoNewPrivs", "yes"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := Install(); !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "no_new_privs is not set") {
		t.Errorf("Install: %v", err)
	}
	if _, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0); err != nil {
		t.Error(err)
	}
}

// A thread under a filter of its own cannot be given the common one.
func TestInstallBesideAnotherFilter(t *testing.T) {
	if os.Getenv("SECCOMP_TEST") == "" {
		if out, err := again(t, nil, "TestInstallBesideAnotherFilter", "yes"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	thread := make(chan int)
	go func() {
		runtime.LockOSThread()
		setNoNewPrivs(t)
		if err := install([]syscall.SockFilter{give(returnAllow)}, 0); err != nil {
			t.Error(err)
		}
		thread <- syscall.Gettid()
		select {}
	}()
	id := <-thread
	runtime.LockOSThread()
	setNoNewPrivs(t)
	err := Install()
	if !errors.Is(err, ErrThread) || !strings.Contains(err.Error(), fmt.Sprint("thread ", id, ":")) {
		t.Errorf("Install: %v, want thread %d", err, id)
	}
}
