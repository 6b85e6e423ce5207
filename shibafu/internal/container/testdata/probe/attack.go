package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// attempt is a system call that no container may make, with arguments that would do
// something if it could.
type attempt struct {
	name string
	call func() error
}

// Numbers that are the same on all architectures, and flags.
const (
	sysOpenTree  = 428
	sysFsopen    = 430
	sysIoUring   = 425
	sysPidfdOpen = 434
	atFdcwd      = -100
	newUser      = syscall.CLONE_NEWUSER
	keySession   = -3 // KEY_SPEC_SESSION_KEYRING
	tiocsti      = 0x5412
	afVsock      = 40
	afAlg        = 38
)

func raw(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return errno
	}
	return nil
}

func text(s string) uintptr {
	p, err := syscall.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return uintptr(unsafe.Pointer(p))
}

// cwd is AT_FDCWD.
func cwd() uintptr {
	n := atFdcwd
	return uintptr(n)
}

func session() uintptr {
	n := keySession
	return uintptr(n)
}

var attempts = []attempt{
	{"mount tmpfs", func() error { return syscall.Mount("tmpfs", "/tmp", "tmpfs", 0, "") }},
	{"mount proc", func() error { return syscall.Mount("proc", "/tmp", "proc", 0, "") }},
	{"mount cgroup", func() error { return syscall.Mount("cgroup", "/tmp", "cgroup", 0, "memory") }},
	{"mount cgroup2", func() error { return syscall.Mount("cgroup2", "/tmp", "cgroup2", 0, "") }},
	{"remount /proc/sys", func() error { return syscall.Mount("", "/proc/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND, "") }},
	{"umount /proc/sys", func() error { return syscall.Unmount("/proc/sys", syscall.MNT_DETACH) }},
	{"pivot_root", func() error { return syscall.PivotRoot("/tmp", "/tmp") }},
	{"unshare user", func() error { return syscall.Unshare(newUser) }},
	{"unshare user, mounts and cgroup", func() error {
		return syscall.Unshare(newUser | syscall.CLONE_NEWNS | syscall.CLONE_NEWCGROUP)
	}},
	{"setns", func() error { return raw(sysSetns, 0, 0) }},
	{"open_tree", func() error { return raw(sysOpenTree, cwd(), text("/"), 1) }},
	{"fsopen", func() error { return raw(sysFsopen, text("tmpfs"), 0) }},
	{"open_by_handle_at", func() error {
		handle := struct {
			size, kind uint32
			inode      [2]uint32
		}{8, 1, [2]uint32{2, 0}} // the root of the machine's ext4
		return raw(sysOpenByHandle, cwd(), uintptr(unsafe.Pointer(&handle)), 0)
	}},
	{"keyctl", func() error { return raw(sysKeyctl, 0, session(), 1) }},
	{"add_key", func() error { return raw(sysAddKey, text("user"), text("x"), text("x"), 1, session()) }},
	{"request_key", func() error { return raw(sysRequestKey, text("user"), text("x"), 0, session()) }},
	{"bpf", func() error { return raw(sysBpf, 0, 0, 0) }},
	{"perf_event_open", func() error { return raw(sysPerfEventOpen, 0, 0, 0, 0) }},
	{"userfaultfd", func() error { return raw(sysUserfaultfd, 0) }},
	{"io_uring_setup", func() error { return raw(sysIoUring, 1, 0) }},
	{"init_module", func() error { return raw(sysInitModule, 0, 0, 0) }},
	{"kexec_load", func() error { return raw(sysKexecLoad, 0, 0, 0, 0) }},
	{"reboot", func() error { return raw(syscall.SYS_REBOOT, 0, 0, 0) }},
	{"syslog", func() error { return raw(syscall.SYS_SYSLOG, 3, 0, 0) }},
	{"swapon", func() error { return raw(syscall.SYS_SWAPON, text("/tmp"), 0) }},
	{"settimeofday", func() error { return syscall.Settimeofday(&syscall.Timeval{Sec: 1}) }},
	{"sethostname", func() error { return syscall.Sethostname([]byte("x")) }},
	{"ptrace the first process", func() error { return raw(syscall.SYS_PTRACE, syscall.PTRACE_ATTACH, 1, 0, 0) }},
	{"mknod of a disk", func() error { return syscall.Mknod("/tmp/disk", syscall.S_IFBLK|0o600, 8<<8) }},
	{"mknod of memory", func() error { return syscall.Mknod("/tmp/mem", syscall.S_IFCHR|0o600, 1<<8|1) }},
	{"raw packets", func() error { return socket(syscall.AF_PACKET, syscall.SOCK_RAW) }},
	{"raw IP", func() error { return socket(syscall.AF_INET, syscall.SOCK_RAW) }},
	{"vsock", func() error { return socket(afVsock, syscall.SOCK_STREAM) }},
	{"alg", func() error { return socket(afAlg, syscall.SOCK_SEQPACKET) }},
	{"trusted attribute", func() error { return syscall.Setxattr("/tmp", "trusted.overlay.opaque", []byte("y"), 0) }},
	{"raise a limit", func() error {
		const rlimitNofile = syscall.RLIMIT_NOFILE
		return syscall.Setrlimit(rlimitNofile, &syscall.Rlimit{Cur: 1 << 24, Max: 1 << 24})
	}},
	{"type into the terminal", func() error {
		c := byte('x')
		return raw(syscall.SYS_IOCTL, 0, tiocsti, uintptr(unsafe.Pointer(&c)))
	}},
	{"negative oom_score_adj", func() error { return overwrite("/proc/self/oom_score_adj", "-1000") }},
	{"first process's memory", func() error { return opened("/proc/1/mem", os.O_RDWR) }},
	{"first process's program", func() error { return opened("/proc/1/exe", os.O_RDONLY) }},
	{"first process's files", func() error { _, err := os.Readlink("/proc/1/fd/3"); return err }},
	{"first process's root", func() error { _, err := os.ReadDir("/proc/1/root"); return err }},
	{"first process's environment", func() error { _, err := os.ReadFile("/proc/1/environ"); return err }},
	{"kernel log as a device", func() error { return opened("/dev/kmsg", os.O_RDONLY) }},
	{"kernel log as a file", func() error { return opened("/proc/kmsg", os.O_RDONLY) }},
	{"core pattern", func() error { return overwrite("/proc/sys/kernel/core_pattern", "|/x") }},
	{"sysrq", func() error { return overwrite("/proc/sysrq-trigger", "h") }},
	{"kernel settings", func() error { return overwrite("/proc/sys/kernel/domainname", "x") }},
	{"network settings", func() error { return overwrite("/proc/sys/net/ipv4/ip_forward", "1") }},
	{"/sys", func() error { return overwrite("/sys/kernel/mm/ksm/run", "0") }},
	{"hotplug helper", func() error { return overwrite("/sys/kernel/uevent_helper", "/x") }},
	{"group's agent", func() error { return overwrite("/sys/fs/cgroup/memory/release_agent", "/x") }},
	{"group's limit", func() error { return overwrite("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1") }},
	{"group of its own", func() error { return os.Mkdir("/sys/fs/cgroup/memory/x", 0o755) }},
}

func socket(family, kind int) error {
	fd, err := syscall.Socket(family, kind, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err
}

func opened(name string, flags int) error {
	f, err := os.OpenFile(name, flags, 0)
	if err == nil {
		f.Close()
	}
	return err
}

func overwrite(name, content string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(content)
	return err
}

// attack makes all attempts, and says how each went.
func attack([]string) error {
	for _, a := range attempts {
		fmt.Printf("%s: %s\n", a.name, reason(a.call()))
	}
	return nil
}

// change tries to give files other modes and owners, and says how that went.
func change(args []string) error {
	for _, name := range args {
		fmt.Println(name, reason(os.Chmod(name, 0)), "and", reason(os.Lchown(name, 1, 1)))
	}
	return nil
}

// writable prints the files below folders that can be opened for writing, but for what
// belongs to processes.
func writable(args []string) error {
	for _, top := range args {
		err := filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
			first := strings.TrimPrefix(name, "/proc/")
			if first != name && first != "" && (first[0] >= '0' && first[0] <= '9' || strings.Contains("self thread-self", first)) {
				return skip(e)
			}
			if err != nil || e.IsDir() {
				return nil
			}
			if opened(name, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY) == nil {
				fmt.Println(name)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func skip(e fs.DirEntry) error {
	if e != nil && e.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// stat prints modes and owners.
func stat(args []string) error {
	for _, name := range args {
		st, err := os.Stat(name)
		if err != nil {
			fmt.Println(name, reason(err))
			continue
		}
		sys := st.Sys().(*syscall.Stat_t)
		fmt.Println(name, st.Mode(), sys.Uid, sys.Gid)
	}
	return nil
}

// flip makes of a folder symbolic links to each target and a folder again, so many
// times, or until nobody writes to its standard input any more.
func flip(args []string) error {
	name, targets := args[0], args[2:]
	often, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(done) }()
	for n := 0; ; n++ {
		aside := name + ".aside"
		link := name + ".link"
		os.Remove(link)
		if err := os.Symlink(targets[n%len(targets)], link); err != nil {
			return err
		}
		if os.Rename(name, aside) == nil {
			os.Rename(link, name)
			os.Remove(name)
			os.Rename(aside, name)
		}
		select {
		case <-done:
			if n >= often {
				return nil
			}
		default:
		}
	}
}

// open opens files, for reading, and says how that went.
func open(args []string) error {
	for _, name := range args {
		fmt.Println(name, reason(opened(name, os.O_RDONLY|syscall.O_NONBLOCK)))
	}
	return nil
}

// overwriting tries many times to open each file for writing, and says how that ended:
// a program that runs cannot be written to, but one that has ended just now can.
func overwriting(args []string) error {
	const often = 10_000
	for _, name := range args {
		var err error
		for range often {
			if err = opened(name, os.O_WRONLY); err == nil {
				break
			}
		}
		fmt.Println(name, reason(err))
	}
	return nil
}
