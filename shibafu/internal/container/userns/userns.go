// Package userns starts programs in user namespaces, so that what takes root is done
// by whoever is not: the ids of a namespace stand for others of the machine, and its
// root is the user who made it.
//
// Source: user_namespaces(7), subuid(5), newuidmap(1).
package userns

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"shibafu.dev/shibafu/internal/container/linux"
)

// Mapping says which ids of the machine stand for those of a namespace. The zero
// value is no namespace at all.
type Mapping struct {
	uids, gids []syscall.SysProcIDMap
	// lacks says why there is one id only, "" if there are more.
	lacks string
}

// ForCaller is the mapping for the user of this process: none for root, who needs
// none. Anybody else is root of the namespace, and has as other ids those that
// /etc/subuid and /etc/subgid give him, if the programs newuidmap and newgidmap are
// there.
func ForCaller() Mapping {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		return Mapping{}
	}
	m := Mapping{uids: one(uid), gids: one(gid)}
	uids, err := subordinate("/etc/subuid", uid, uid)
	if err != nil {
		m.lacks = err.Error()
		return m
	}
	gids, err := subordinate("/etc/subgid", uid, gid)
	if err != nil {
		m.lacks = err.Error()
		return m
	}
	for _, program := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(program); err != nil {
			m.lacks = "the program " + program + " (package uidmap) is missing"
			return m
		}
	}
	m.uids, m.gids = append(m.uids, uids...), append(m.gids, gids...)
	return m
}

func one(id int) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
}

// IsNone tells whether there is no namespace.
func (m Mapping) IsNone() bool { return m.uids == nil }

// IsSingle tells whether root is the only user of the namespace, and why.
func (m Mapping) IsSingle() (why string, single bool) { return m.lacks, m.lacks != "" }

// Bounds are the first ids that a namespace does not have.
func (m Mapping) Bounds() (uids, gids uint64) { return bound(m.uids), bound(m.gids) }

func bound(ranges []syscall.SysProcIDMap) (n uint64) {
	for _, r := range ranges {
		n += uint64(r.Size)
	}
	return n
}

// String tells mappings apart.
func (m Mapping) String() string { return fmt.Sprint(m.uids, m.gids) }

// subordinate returns the ranges that a file gives a user, from 1 on. own is the id
// that stands for 0.
func subordinate(file string, uid, own int) ([]syscall.SysProcIDMap, error) {
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	names := []string{strconv.Itoa(uid)}
	if u, err := user.LookupId(names[0]); err == nil {
		names = append(names, u.Username)
	}
	ranges := parseSubordinate(raw, names, own)
	if len(ranges) == 0 {
		return nil, fmt.Errorf("%s has no range for %s", file, names[len(names)-1])
	}
	return ranges, nil
}

// parseSubordinate reads lines of "name:first:count". What is none is passed over, and
// so is what has an id again, for one stands for one of the machine at most.
func parseSubordinate(raw []byte, names []string, own int) (ranges []syscall.SysProcIDMap) {
	next := 1
	taken := one(own)
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 || !slices.Contains(names, fields[0]) {
			continue
		}
		first, err1 := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 != nil || err2 != nil || count == 0 || first == 0 || first+count > 1<<32-1 || uint64(next)+count > 1<<32-1 {
			continue
		}
		r := syscall.SysProcIDMap{ContainerID: next, HostID: int(first), Size: int(count)}
		if slices.ContainsFunc(taken, func(t syscall.SysProcIDMap) bool { return overlap(r, t) }) {
			continue
		}
		taken, ranges = append(taken, r), append(ranges, r)
		next += r.Size
	}
	return ranges
}

func overlap(a, b syscall.SysProcIDMap) bool {
	return a.HostID < b.HostID+b.Size && b.HostID < a.HostID+a.Size
}

// GateFile is the first file besides the standard ones that a program inherits which
// Start starts.
const GateFile = 3

// mapped is the argument that a program is started with again once it is root of its
// namespace.
const mapped = "mapped"

// Start starts a program of this project in new namespaces, that of the mapping among
// them. The program begins with Enter, and goes on when before, which may be nil, has
// been called with its process number and has returned nil. cmd.ExtraFiles are from
// GateFile+1 on.
func (m Mapping) Start(cmd *exec.Cmd, flags uintptr, before func(pid int) error) error {
	gate, opener, err := os.Pipe()
	if err != nil {
		return err
	}
	defer opener.Close()
	defer gate.Close()
	cmd.ExtraFiles = append([]*os.File{gate}, cmd.ExtraFiles...)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Cloneflags = flags
	if !m.IsNone() {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if m.lacks != "" { // then nobody's help is needed
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = m.uids, m.gids
	}
	if err := cmd.Start(); err != nil {
		return startError(err, m)
	}
	err = m.write(cmd.Process.Pid)
	if err == nil && before != nil {
		err = before(cmd.Process.Pid)
	}
	if err == nil {
		_, err = opener.Write([]byte{1})
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return err
}

func startError(err error, m Mapping) error {
	if m.IsNone() || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return fmt.Errorf("this system gives ordinary users no user namespaces (look at the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns): %w", err)
}

// write has the programs that may do it write the mapping.
func (m Mapping) write(pid int) error {
	if m.IsNone() || m.lacks != "" {
		return nil
	}
	if err := writeRanges("newuidmap", pid, m.uids); err != nil {
		return err
	}
	return writeRanges("newgidmap", pid, m.gids)
}

func writeRanges(program string, pid int, ranges []syscall.SysProcIDMap) error {
	args := []string{strconv.Itoa(pid)}
	for _, r := range ranges {
		args = append(args, strconv.Itoa(r.ContainerID), strconv.Itoa(r.HostID), strconv.Itoa(r.Size))
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}

// Enter is what a program begins with that Start has started: it returns when the
// program may go on. One whose ids were not mapped yet when it was executed has no
// rights in its namespace, and executes itself again.
func Enter() error {
	if len(os.Args) > 1 && os.Args[1] == mapped {
		return nil
	}
	gate := os.NewFile(GateFile, "gate")
	if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
		return fmt.Errorf("the program that started this one is gone: %w", err)
	}
	if may, err := linux.HasCapability(linux.SysAdmin); may || err != nil {
		return err
	}
	return os.NewSyscallError("execve", syscall.Exec("/proc/self/exe", []string{os.Args[0], mapped}, os.Environ()))
}
