// Probe is what runs in the containers of the tests: it says what it sees, and tries
// what it should not be able to do.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	do, ok := map[string]func(args []string) error{
		"exit":         exit,
		"echo":         func(args []string) error { _, err := fmt.Println(strings.Join(args, " ")); return err },
		"copy":         func([]string) error { _, err := io.Copy(os.Stdout, os.Stdin); return err },
		"wait":         func([]string) error { _, err := io.Copy(io.Discard, os.Stdin); return err },
		"id":           id,
		"env":          env,
		"pwd":          func([]string) error { dir, err := os.Getwd(); fmt.Println(dir); return err },
		"hostname":     func([]string) error { name, err := os.Hostname(); fmt.Println(name); return err },
		"status":       status,
		"files":        files,
		"cat":          cat,
		"write":        write,
		"list":         list,
		"links":        links,
		"mounts":       mounts,
		"signal":       waitForSignal,
		"orphan":       orphan,
		"terminal":     terminal,
		"memory":       memory,
		"fork":         fork,
		"spin":         spin,
		"interfaces":   interfaces,
		"quote":        quote,
		"variable":     func(args []string) error { _, err := fmt.Printf("%s=%s\n", args[0], os.Getenv(args[0])); return err },
		"variables":    variables,
		"arguments":    func(args []string) error { _, err := fmt.Println(len(args), "arguments"); return err },
		"attack":       attack,
		"change":       change,
		"writable":     writable,
		"stat":         stat,
		"open":         open,
		"flip":         flip,
		"bomb":         bomb,
		"descriptors":  descriptors,
		"deep":         deep,
		"fill":         fill,
		"leave":        leave,
		"hold":         hold,
		"hand":         hand,
		"output":       output,
		"signal-first": signalFirst,
		"kill":         kill,
		"family":       family,
		"resized":      resized,
		"server":       server,
		"overwrite":    overwriting,
		"shows":        shows,
		"namespaces":   namespaces,
		"leave-traces": leaveTraces,
		"traces":       traces,
	}[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "probe: no such thing:", os.Args[1])
		os.Exit(99)
	}
	if err := do(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func exit(args []string) error {
	code, err := strconv.Atoi(args[0])
	if err == nil {
		os.Exit(code)
	}
	return err
}

func quote(args []string) error {
	for _, arg := range args {
		fmt.Printf("%q\n", arg)
	}
	return nil
}

// variables counts those whose names begin so.
func variables(args []string) error {
	n := 0
	for _, pair := range os.Environ() {
		if strings.HasPrefix(pair, args[0]) {
			n++
		}
	}
	_, err := fmt.Println(n, "variables")
	return err
}

func env([]string) error {
	all := os.Environ()
	slices.Sort(all)
	_, err := fmt.Println(strings.Join(all, "\n"))
	return err
}

// id says who runs this.
func id([]string) error {
	groups, err := os.Getgroups()
	slices.Sort(groups)
	fmt.Println(os.Getuid(), os.Getgid(), groups)
	return err
}

// status prints lines of /proc/N/status.
func status(args []string) error {
	f, err := os.Open("/proc/" + args[0] + "/status")
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if slices.Contains(args[1:], name) {
			fmt.Println(name, strings.TrimSpace(value))
		}
	}
	return nil
}

// files prints the numbers of open files that were not opened here.
func files([]string) error {
	for fd := range 1024 {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); errno != 0 {
			continue
		}
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			return err
		}
		if strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/") { // the runtime's
			continue
		}
		target, _, _ = strings.Cut(target, ":") // of a pipe its number
		fmt.Println(fd, target)
	}
	return nil
}

func cat(args []string) error {
	for _, name := range args {
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		os.Stdout.Write(raw)
	}
	return nil
}

// write writes a word to files, and says how that went.
func write(args []string) error {
	for _, name := range args {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err == nil {
			_, err = f.WriteString("written\n")
			f.Close()
		}
		fmt.Println(name, reason(err))
	}
	return nil
}

func reason(err error) string {
	for e := err; e != nil; {
		if errno, ok := e.(syscall.Errno); ok {
			return errno.Error()
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			return e.Error()
		}
		e = u.Unwrap()
	}
	return "ok"
}

func list(args []string) error {
	for _, name := range args {
		entries, err := os.ReadDir(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			fmt.Println(e.Name())
		}
	}
	return nil
}

func links(args []string) error {
	for _, name := range args {
		target, err := os.Readlink(name)
		fmt.Println(name, target, reason(err))
	}
	return nil
}

// mounts prints where something is mounted, and with which attributes.
func mounts([]string) error {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		var kept []string
		for _, o := range strings.Split(fields[3], ",") {
			if slices.Contains([]string{"ro", "rw", "nosuid", "nodev", "noexec"}, o) {
				kept = append(kept, o)
			}
		}
		fmt.Println(fields[1], fields[2], strings.Join(kept, ","))
	}
	return nil
}

// waitForSignal says when it is ready, and which signal came.
func waitForSignal([]string) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c)
	fmt.Println("ready")
	for s := range c {
		if s != syscall.SIGURG { // the runtime's
			fmt.Println(s)
			return nil
		}
	}
	return nil
}

// orphan leaves children behind that somebody has to collect, then counts those that
// nobody has.
func orphan([]string) error {
	for range 10 {
		attr := &os.ProcAttr{Files: []*os.File{nil, nil, nil}}
		p, err := os.StartProcess("/probe", []string{"probe", "fork", "1", "0"}, attr)
		if err != nil {
			return err
		}
		if _, err := p.Wait(); err != nil {
			return err
		}
	}
	for {
		zombies, others := 0, 0
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return err
		}
		for _, e := range entries {
			raw, err := os.ReadFile("/proc/" + e.Name() + "/stat")
			if _, numeric := strconv.Atoi(e.Name()); numeric != nil || err != nil {
				continue
			}
			others++
			if strings.Contains(string(raw), ") Z ") {
				zombies++
			}
		}
		if others == 2 { // the first process, and this one
			fmt.Println("zombies", zombies)
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// fork starts that many processes that live for so many milliseconds, and says how
// many there were.
func fork(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	pause, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	started := 0
	for range n {
		attr := &os.ProcAttr{Files: []*os.File{nil, nil, nil}}
		if _, err := os.StartProcess("/probe", []string{"probe", "spin", strconv.Itoa(pause)}, attr); err != nil {
			break
		}
		started++
	}
	fmt.Println("started", started)
	return nil
}

// spin lives for so many milliseconds.
func spin(args []string) error {
	pause, err := strconv.Atoi(args[0])
	time.Sleep(time.Duration(pause) * time.Millisecond)
	return err
}

// terminal says what kind of terminal there is.
func terminal([]string) error {
	for fd := range 3 {
		var size struct{ rows, columns, x, y uint16 }
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
		if errno != 0 {
			return errno
		}
		fmt.Println(fd, size.rows, size.columns)
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	_, err = fmt.Fprintln(tty, "controlled")
	return err
}

// memory uses so many bytes.
func memory(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	fmt.Println("used", len(b))
	return nil
}

func interfaces([]string) error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		fmt.Println(i.Name, i.Flags&net.FlagUp != 0)
	}
	return nil
}
