package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fault is what strace does to a system call of the server.
type fault struct {
	// calls are the system calls, as strace takes them; a ? is before those that not
	// every architecture has.
	calls string
	// effect is "error=EIO", or "signal=KILL".
	effect string
	// staged says that only files being staged are meant: the other descriptors of
	// write(2) are sockets.
	staged bool
}

func (f fault) String() string { return f.calls + ":" + f.effect }

func (f fault) kills() bool { return strings.HasPrefix(f.effect, "signal=") }

const (
	renames = "?rename,?renameat,?renameat2"
	mkdirs  = "?mkdir,mkdirat"
	unlinks = "?unlink,unlinkat,?rmdir"
)

var faults = []fault{
	{calls: "fsync", effect: "error=EIO"},
	{calls: "fdatasync", effect: "error=EIO"},
	{calls: renames, effect: "error=EIO"},
	{calls: renames, effect: "error=ENOSPC"},
	{calls: mkdirs, effect: "error=ENOSPC"},
	{calls: mkdirs, effect: "error=EROFS"},
	{calls: "openat", effect: "error=EMFILE"},
	{calls: "openat", effect: "error=ENOSPC"},
	{calls: unlinks, effect: "error=EIO"},
	{calls: "pwrite64", effect: "error=ENOSPC"},
	{calls: "pwrite64", effect: "error=EIO"},
	{calls: "write", effect: "error=ENOSPC", staged: true},
	{calls: "write", effect: "error=EDQUOT", staged: true},
	{calls: "utimensat", effect: "error=EIO"},
	{calls: "getdents64", effect: "error=EIO"},
	{calls: "?newfstatat,?fstatat64", effect: "error=EIO"},
	{calls: "fsync", effect: "signal=KILL"},
	{calls: "fdatasync", effect: "signal=KILL"},
	{calls: renames, effect: "signal=KILL"},
	{calls: mkdirs, effect: "signal=KILL"},
	{calls: "openat", effect: "signal=KILL"},
	{calls: unlinks, effect: "signal=KILL"},
	{calls: "pwrite64", effect: "signal=KILL"},
}

// tracer is a strace that is attached to a server.
type tracer struct {
	cmd *exec.Cmd
	log string
}

// attach has strace do f to the k-th call of each of the server's threads. With k
// = 0 it only looks on.
func attach(ctx context.Context, s *server, log, root string, f fault, k int) (*tracer, error) {
	args := []string{"-f", "-y", "-p", fmt.Sprint(s.pid()), "-o", log, "-e", "trace=" + f.calls}
	if k > 0 {
		args = append(args, "-e", fmt.Sprintf("inject=%s:%s:when=%d", f.calls, f.effect, k))
	}
	if f.staged {
		args = append(args, stagedPaths(root)...)
	}
	t := &tracer{exec.CommandContext(ctx, "strace", args...), log}
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	stderr, err := t.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	attached := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		said := ""
		for lines.Scan() {
			said += lines.Text() + "\n"
			if strings.Contains(lines.Text(), " attached") {
				said = ""
				break
			}
		}
		attached <- said
		for lines.Scan() {
		}
	}()
	select {
	case said := <-attached:
		if said == "" {
			return t, nil
		}
		err = errors.New("strace: " + said)
	case <-time.After(patience):
		err = errors.New("strace does not attach")
	}
	t.detach()
	return nil, err
}

// stagedPaths names the files that the scenario will stage: they are numbered, and
// may be spread over folders.
func stagedPaths(root string) (args []string) {
	const most = 150
	staging := filepath.Join(root, "uploads", ".staged")
	folders := []string{staging}
	entries, _ := os.ReadDir(staging)
	for _, e := range entries {
		folders = append(folders, filepath.Join(staging, e.Name()))
	}
	for _, folder := range folders {
		for i := range most {
			args = append(args, "-P", filepath.Join(folder, strconv.Itoa(i)))
		}
	}
	return args
}

// detach leaves the server alone again. A strace may miss the signal when what it
// traces is being killed at the same time.
func (t *tracer) detach() {
	t.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(time.Second, func() { t.cmd.Process.Kill() })
	t.cmd.Wait()
	late.Stop()
}

// hits is how many calls were tampered with.
func (t *tracer) hits() int {
	raw, _ := os.ReadFile(t.log)
	return bytes.Count(raw, []byte("(INJECTED)"))
}

// unsyncedJournal tells whether the journal could not be synced, which closes the
// server to writers.
func (t *tracer) unsyncedJournal() bool {
	raw, _ := os.ReadFile(t.log)
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, "fdatasync(") && strings.Contains(line, "(INJECTED)") {
			return true
		}
	}
	return false
}

// most is how often the thread that did it most made one of the calls.
func (t *tracer) most() int {
	raw, _ := os.ReadFile(t.log)
	counts := map[string]int{}
	most := 0
	for line := range strings.Lines(string(raw)) {
		thread, rest, _ := strings.Cut(line, " ")
		call, _, ok := strings.Cut(strings.TrimSpace(rest), "(")
		if !ok || strings.HasPrefix(call, "<") {
			continue
		}
		counts[thread+call]++
		most = max(most, counts[thread+call])
	}
	return most
}
