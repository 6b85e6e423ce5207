package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

// disk is a file system in a file, which can lose power.
type disk struct {
	kind    string // ext4, xfs or btrfs
	image   string // the file
	folder  string // where it is mounted
	mounted bool
}

// imageSize is the least that mkfs.xfs takes, and a little. The file is sparse.
const imageSize = 320 << 20

// mkfs are the commands that make a file system.
var mkfs = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
}

// mountOptions keep the file system from committing what nobody asks it to: a
// loss that a commit every five seconds hides is a loss.
var mountOptions = map[string]string{
	"ext4":  "loop,commit=1000",
	"xfs":   "loop",
	"btrfs": "loop,commit=1000",
}

// format makes an empty file system and mounts it.
func (d *disk) format(ctx context.Context) error {
	if err := d.umount(ctx); err != nil {
		return err
	}
	os.Remove(d.image)
	f, err := os.Create(d.image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(imageSize), f.Close()); err != nil {
		return err
	}
	command, ok := mkfs[d.kind]
	if !ok {
		return fmt.Errorf("no file system %q", d.kind)
	}
	if err := system(ctx, append(command[:len(command):len(command)], d.image)...); err != nil {
		return err
	}
	return d.mount(ctx)
}

func (d *disk) mount(ctx context.Context) error {
	if err := os.MkdirAll(d.folder, 0o755); err != nil {
		return err
	}
	err := system(ctx, "mount", "-t", d.kind, "-o", mountOptions[d.kind], d.image, d.folder)
	d.mounted = err == nil
	return err
}

// umount also drops what the kernel has in memory.
func (d *disk) umount(ctx context.Context) error {
	if !d.mounted {
		return nil
	}
	err := system(ctx, "umount", d.folder)
	d.mounted = err != nil
	return err
}

// cutPower takes the power away from the server and the disk, and gives it back to
// the disk. The server goes first, by some microseconds: XFS tells a folder's fsync
// that all is well after a shutdown, which no server on a dead machine could hear.
func (d *disk) cutPower(ctx context.Context, s *server, cutting func()) error {
	if d.kind == "btrfs" {
		return d.copyAndSwap(ctx, s, cutting)
	}
	cutting()
	err := errors.Join(s.cmd.Process.Kill(), d.shutdown())
	s.kill()
	return errors.Join(err, d.umount(ctx), d.mount(ctx))
}

// shutdown stops the file system without writing its log: what was not synced is
// gone.
func (d *disk) shutdown() error {
	const (
		ioctlShutdown = 0x8004587d // XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN
		noLogFlush    = 2
	)
	f, err := os.Open(d.folder)
	if err != nil {
		return err
	}
	defer f.Close()
	how := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ioctlShutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return os.NewSyscallError("ioctl shutdown", errno)
	}
	return nil
}

// copyAndSwap goes on with a copy of what the disk has at this moment. Nothing of
// the server's is on its way then, but what is in the kernel's memory only is
// not in the copy.
func (d *disk) copyAndSwap(ctx context.Context, s *server, cutting func()) error {
	if err := s.freeze(ctx); err != nil {
		return err
	}
	cutting()
	lost := d.image + ".lost"
	err := system(ctx, "cp", "--reflink=auto", "--sparse=always", d.image, lost)
	s.kill()
	return errors.Join(err, d.umount(ctx), os.Rename(lost, d.image), d.mount(ctx))
}

// system runs a program, whose complaints are in the error. It runs also when ctx
// has ended, as what was mounted is to be unmounted; but never for long.
func system(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if found, err := exec.LookPath(filepath.Join("/usr/sbin", args[0])); err == nil {
		cmd.Path, cmd.Err = found, nil
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}
